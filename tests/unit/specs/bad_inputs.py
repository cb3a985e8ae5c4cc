"""Malformed specs and what is said of them: id -> (content of bad.yaml, the messages in order).

A message is ``line:col: text`` and is compared as it is.
"""

from __future__ import annotations

JOB = "kind: Job\nname: bad\ncluster: good\ncommand: echo hello\n"
IMAGE = "kind: Image\nname: bad\nbuild: {context: img}\n"
CLUSTER = "kind: Cluster\nname: bad\n"


def job(extra: str) -> str:
    return JOB + extra + "\n"


def named(name: str) -> str:
    return f"kind: Job\nname: {name}\ncluster: good\ncommand: echo hello\n"


def command(text: str) -> str:
    return f"kind: Job\nname: bad\ncluster: good\ncommand: {text}\n"


BOMB = "env:\n  a0: &a0 [x]\n" + "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 7))

INPUTS: dict[str, tuple[bytes | str, list[str]]] = {
    # YAML itself
    "duplicate key": (job("command: echo again"), ['5:1: duplicate key "command"; the first is on line 4']),
    "duplicate nested key": (job("env: {A: x, A: y}"), ['5:13: duplicate key "A"; the first is on line 5']),
    "two specs without ---": (
        JOB + named("worse"),
        [
            '5:1: duplicate key "kind"; the first is on line 1',
            '6:1: duplicate key "name"; the first is on line 2',
            '7:1: duplicate key "cluster"; the first is on line 3',
            '8:1: duplicate key "command"; the first is on line 4',
        ],
    ),
    "100,000 nested brackets": (job("files: " + "[" * 100_000), ["5:71: nested more than 64 levels deep"]),
    "100,000 nested mappings": (job("env: " + "{a: " * 100_000), ["5:258: nested more than 64 levels deep"]),
    "100,000 nested dashes": ("- " * 100_000, ["1:129: nested more than 64 levels deep"]),
    "alias bomb": (
        job(BOMB),
        [
            '6:7: "env.a0" must be a string, not a list',
            "6:7: anchors (&a0) are not supported",
            '7:7: "env.a1" must be a string, not a list',
            "7:12: aliases (*a0) are not supported",
            '8:7: "env.a2" must be a string, not a list',
            '9:7: "env.a3" must be a string, not a list',
            '10:7: "env.a4" must be a string, not a list',
            '11:7: "env.a5" must be a string, not a list',
            '12:7: "env.a6" must be a string, not a list',
        ],
    ),
    "alias": (
        job("env: {A: &x one, B: *x}"),
        ["5:10: anchors (&x) are not supported", "5:21: aliases (*x) are not supported"],
    ),
    "merge key": (job("env:\n  <<: {A: x}"), ["6:3: merge keys (<<) are YAML 1.1 and are not supported"]),
    "custom tag": (
        job("env: {A: !!python/object/apply:os.system [id]}"),
        ["5:10: tags (!!python/object/apply:os.system) are not supported"],
    ),
    "local tag": (job("env: {A: !secret x}"), ["5:10: tags (!secret) are not supported"]),
    "undefined tag handle": (job("env: {A: !e!x y}"), ["5:10: not valid YAML: found undefined tag handle"]),
    "50 MB file": (
        JOB.encode() + b"# " + b"x" * (50 << 20),
        ["the file is larger than 1 MiB, the most a spec file may have"],
    ),
    "too many values": (job("files: [" + "a," * 120_000 + "]"), ["5:199997: more than 100000 values in one file"]),
    "too many documents": ("---\n" * 10_002 + JOB, ["10001:1: more than 10000 documents in one file"]),
    "tab as indentation": ("kind: Job\nname: bad\nenv:\n\tA: x\n", ["4:1: a tab cannot be used for indentation"]),
    "not UTF-8": (JOB.encode() + b"env: {A: \xff\xfe}\n", ["5:10: not UTF-8: byte 0xff"]),
    "UTF-16": (JOB.encode("utf-16"), ["1:1: not UTF-8: byte 0xff"]),
    "byte order mark": (b"\xef\xbb\xbf" + JOB.encode(), ["1:1: the file starts with a byte order mark"]),
    "NUL byte": (JOB.encode() + b"env: {A: x\0y}\n", ["5:11: control character U+0000 is not allowed in YAML"]),
    "control character": (
        JOB.encode() + b"env: {A: x\x1by}\n",
        ["5:11: control character U+001B is not allowed in YAML"],
    ),
    "unclosed quote": (
        job('env: {A: "x}'),
        ["6:1: not valid YAML: found unexpected end of stream (while scanning a quoted scalar that starts on line 5)"],
    ),
    "unclosed bracket": (
        job("files: [a, b"),
        ["6:1: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that starts on line 5)"],
    ),
    "bad indentation": (
        "kind: Job\n name: bad\n",
        ["2:6: not valid YAML: mapping values are not allowed in this context"],
    ),
    "colon in a value": (
        "kind: Job\nname: bad: worse\n",
        ["2:10: not valid YAML: mapping values are not allowed in this context"],
    ),
    "merge conflict": (
        "<<<<<<< HEAD\n" + JOB + "=======\n" + JOB + ">>>>>>> other\n",
        ["2:5: not valid YAML: mapping values are not allowed in this context"],
    ),
    "YAML 1.1 directive": ("%YAML 1.1\n---\n" + JOB, ["1:1: specs are YAML 1.2"]),
    "list as key": (job("env: {[a]: b}"), ["5:7: a key must be a plain string, not a list, a mapping or an alias"]),
    "binary": (bytes(range(256)), ["2:118: not UTF-8: byte 0x80"]),
    # What a document is
    "no kind": ("name: bad\ncommand: echo hello\n", ['1:1: missing field "kind"']),
    "misspelt kind": ("knid: Job\nname: bad\n", ['1:1: unknown field "knid"; did you mean "kind"?']),
    "capital kind": ("Kind: Job\nname: bad\n", ['1:1: unknown field "Kind"; did you mean "kind"?']),
    "unknown kind": ("kind: Jobb\nname: bad\n", ['1:7: unknown kind "Jobb"; did you mean "Job"?']),
    "foreign kind": ("kind: recipe\nname: bad\n", ['1:7: unknown kind "recipe"']),
    "kind is a list": ("kind: [Job]\nname: bad\n", ['1:7: "kind" must be a string, not a list']),
    "kind is empty": ("kind:\nname: bad\n", ['1:6: "kind" must be a string, not empty']),
    "list beside a spec": (JOB + "---\n- a\n", ["6:1: a spec must be a mapping, not a list"]),
    "document without kind beside a spec": (JOB + "---\nname: other\n", ['6:1: missing field "kind"']),
    # Names
    "no name": ("kind: Job\ncluster: good\ncommand: echo hello\n", ['1:1: missing field "name"']),
    "name is a number": (named("17"), ['2:7: "name" must be a string, not an integer (17)']),
    "name with ../": (
        named("../bad"),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "../bad"'],
    ),
    "name with ;": (
        named("'a;rm -rf x'"),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "a;rm -rf x"'],
    ),
    "name with newline": (
        named('"bad\\n"'),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "bad\\n"'],
    ),
    "name with NUL": (
        named('"bad\\0"'),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "bad\\u0000"'],
    ),
    "name with leading -": (
        named("-bad"),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "-bad"'],
    ),
    "name with capitals": (
        named("Bad"),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not "Bad"'],
    ),
    "name that is too long": (named("a" * 64), ['2:7: "name" must have at most 63 characters, not 64']),
    "name is empty": (
        named("''"),
        ['2:7: "name" must be a-z, 0-9 and dashes, with no dash at either end, not ""'],
    ),
    # Fields
    "unknown field": (
        "kind: Job\nname: bad\ncluster: good\ncomand: echo hello\n",
        ['4:1: unknown field "comand"; did you mean "command"?'],
    ),
    "unknown field far from all": (job("zzz: 1"), ['5:1: unknown field "zzz"']),
    "a field of resources": (job("time: 1h"), ['5:1: unknown field "time"; it belongs in resources']),
    "unknown nested field": (
        job("resources: {cpu: 1}"),
        ['5:13: unknown field "cpu" in resources; did you mean "cpus"?'],
    ),
    "value of a later version": (
        CLUSTER + "containers: docker\n",
        ["3:13: containers: docker is not supported yet by this version"],
    ),
    "missing field": ("kind: Job\nname: bad\ncluster: good\n", ['1:1: missing field "command"']),
    "image from nothing": ("kind: Image\nname: bad\n", ["1:1: an Image is made from one of build, from and sif"]),
    "image from two things": (
        "kind: Image\nname: bad\nbuild: {context: img}\nsif: /x.sif\n",
        ["4:6: an Image is made from one of build, from and sif, not build and sif"],
    ),
    "image from a registry that is to be pushed": (
        "kind: Image\nname: bad\nfrom: debian:trixie\nregistry: localhost:5000/lab\n",
        ["4:11: registry is where a built image is pushed to, and from: is not built"],
    ),
    "ref without repo": (
        "kind: Image\nname: bad\nbuild: {context: img, ref: v1}\n",
        ["3:28: build.ref is of no use without build.repo"],
    ),
    "values without template": (
        "kind: Image\nname: bad\nbuild: {context: img, values: {a: b}}\n",
        ["3:31: build.values is of no use without build.template"],
    ),
    "context and template": (
        "kind: Image\nname: bad\nbuild: {context: img, template: python}\n",
        ["3:18: build has both context and template"],
    ),
    "repo with a token": (
        "kind: Image\nname: bad\nbuild: {repo: 'https://x:secret@example.org/a.git'}\n",
        ['3:15: "build.repo" must not hold a password or a token'],
    ),
    "repo that is no address": (
        "kind: Image\nname: bad\nbuild: {repo: somewhere}\n",
        ['3:15: "build.repo" must be an address such as https://host/group/repository.git, not "somewhere"'],
    ),
    "ref that is none": (
        "kind: Image\nname: bad\nbuild: {repo: 'git@h:x', ref: a..b}\n",
        ['3:31: "build.ref" must be the name of a branch or a tag, or a commit id, not "a..b"'],
    ),
    "from that is no name": (
        "kind: Image\nname: bad\nfrom: docker://Debian:trixie\n",
        ['3:7: "from" must be the name of an image such as docker://python:3.12-slim, not "docker://Debian:trixie"'],
    ),
    "sif of another kind": (
        "kind: Image\nname: bad\nsif: /images/x.img\n",
        ['3:6: "sif" must be the path of a file that ends in ".sif", not "/images/x.img"'],
    ),
    "sif at a relative path": (
        "kind: Image\nname: bad\nsif: {path: x.sif}\n",
        ['3:13: "sif.path" must be an absolute path, or a path that begins with ~ or $NAME, not "x.sif"'],
    ),
    "sif with half a hash": (
        "kind: Image\nname: bad\nsif: {path: /x.sif, sha256: abc}\n",
        ['3:29: "sif.sha256" must be 64 hexadecimal digits in lower case, not "abc"'],
    ),
    "template that there is not": (
        "kind: Image\nname: bad\nbuild: {template: pyton}\n",
        ['3:19: there is no built-in template "pyton"; did you mean "python"?'],
    ),
    "value that a template has not": (
        "kind: Image\nname: bad\nbuild: {template: python, values: {bse: x}}\n",
        ['3:41: build.values.bse is no value of the template; did you mean "base"?'],
    ),
    "value of another type": (
        "kind: Image\nname: bad\nbuild: {template: python, values: {base: 3}}\n",
        ["3:42: build.values.base must be a string, not an integer"],
    ),
    "directory that is no template": (
        "kind: Image\nname: bad\nbuild: {template: ./img}\n",
        ['3:19: there is no template.yaml in "img", so it is no template'],
    ),
    "missing nested field": ("kind: Image\nname: bad\nbuild: {}\n", ['3:8: missing field "build.context"']),
    "empty field": (job("image:"), ['5:1: "image" is empty']),
    "boolean for an integer": (job("priority: true"), ['5:11: "priority" must be an integer, not a boolean (true)']),
    "string for an integer": (
        job('resources: {cpus: "8"}'),
        ['5:19: "resources.cpus" must be an integer, not a string ("8")'],
    ),
    "float for an integer": (
        job("resources: {cpus: 1.5}"),
        ['5:19: "resources.cpus" must be an integer, not a number (1.5)'],
    ),
    "1e3 for an integer": (
        job("resources: {cpus: 1e3}"),
        ['5:19: "resources.cpus" must be an integer, not a number (1e3)'],
    ),
    "infinity for an integer": (
        job("priority: .inf"),
        ['5:11: "priority" must be an integer, not a number (.inf)'],
    ),
    "number with 5,000 digits": (
        job("priority: " + "9" * 5000),
        ['5:11: "priority" must be an integer, not a string ("99999999999999999999999999999999999999999999...")'],
    ),
    "integer out of range": (job("resources: {nodes: 0}"), ['5:20: "resources.nodes" must be at least 1, not 0']),
    "YAML 1.1 boolean": (
        job("suspend: yes"),
        ['5:10: "suspend" must be true or false or a list, not a string ("yes")'],
    ),
    "string for a list": (job("files: src"), ['5:8: "files" must be a list, not a string ("src")']),
    "string for a mapping": (job("resources: big"), ['5:12: "resources" must be a mapping, not a string ("big")']),
    "list for a command": (command("[echo, hello]"), ['4:10: "command" must be a string, not a list']),
    "blank command": (command("' '"), ['4:10: "command" must not be empty']),
    "command with NUL": (command('"echo \\0"'), ['4:10: "command" must not hold the character U+0000']),
    "not an allowed value": (job("on_change: restart"), ['5:12: "on_change" may not be "restart"']),
    "number in env": (
        job("env: {N: 8, B: true}"),
        ['5:10: "env.N" must be a string, not an integer (8)', '5:16: "env.B" must be a string, not a boolean (true)'],
    ),
    "null in env": (job("env: {N: }"), ['5:7: "env.N" is empty']),
    "bad name in env": (
        job("env: {'A-B': x, 1A: y}"),
        [
            '5:7: "A-B" in env: a name must be letters, digits and "_", not beginning with a digit',
            '5:17: "1A" in env: a name must be letters, digits and "_", not beginning with a digit',
        ],
    ),
    "env value with NUL": (job('env: {A: "x\\0y"}'), ['5:10: "env.A" must not hold the character U+0000']),
    "label with newline": (
        job('labels: {a: "x\\ny"}'),
        ['5:13: "labels.a" must be one line without control characters, but holds U+000A, not "x\\ny"'],
    ),
    # Quantities
    "memory in GB": (
        job("resources: {memory: 32GB}"),
        ['5:21: "resources.memory" must be an amount of memory such as 512M, 32G or 1T, not "32GB"'],
    ),
    "memory without number": (
        job("resources: {memory: lots}"),
        ['5:21: "resources.memory" must be an amount of memory such as 512M, 32G or 1T, not "lots"'],
    ),
    "no memory": (job("resources: {memory: 0}"), ['5:21: "resources.memory" must be more than 0, not 0']),
    "time without unit that is known": (
        job("resources: {time: 4 hours}"),
        ['5:19: "resources.time" must be a time such as 90s, 30m, 4h, 1h30m, 4:00:00 or 1-12:00:00, not "4 hours"'],
    ),
    "endless time": (job("resources: {time: infinite}"), ['5:19: "resources.time" must have an end']),
    "no time": (job("resources: {time: 0s}"), ['5:19: "resources.time" must be longer than 0, not "0s"']),
    "GPU type in the number": (
        job("resources: {gpus: 'l40s:2'}"),
        ['5:19: "resources.gpus" must be an integer or a mapping, not a string ("l40s:2")'],
    ),
    "GPU without count": (job("resources: {gpus: {type: l40s}}"), ['5:19: missing field "resources.gpus.count"']),
    # What reaches a command line
    "account with ;": (
        job("resources: {account: 'a;b'}"),
        ['5:22: "resources.account" must be letters, digits and "_.+@:-", not beginning with a dash, not "a;b"'],
    ),
    "partition with leading -": (
        job("resources: {partition: -p}"),
        ['5:24: "resources.partition" must be names of letters, digits and "_.+-", separated by commas, not "-p"'],
    ),
    "option without -": (
        job("resources: {extra: [mail-type=END]}"),
        ['5:21: "resources.extra[0]" must be an option that begins with "-", not "mail-type=END"'],
    ),
    "owned option": (
        job("resources: {extra: ['--job-name=x']}"),
        ['5:21: "resources.extra[0]" may not set --job-name: the controller sets it to recognise its jobs'],
    ),
    "beginning of an owned option": (
        job("resources: {extra: ['--arr=0-9']}"),
        ['5:21: "resources.extra[0]" may not set --array: the controller forms job arrays itself'],
    ),
    "short owned option": (
        job("resources: {extra: ['-oout', '-J', '-W']}"),
        [
            '5:21: "resources.extra[0]" may not set --output: the controller decides where a run\'s files are',
            '5:30: "resources.extra[1]" may not set --job-name: the controller sets it to recognise its jobs',
            '5:36: "resources.extra[2]" may not set --wait: the controller does not block while a job runs',
        ],
    ),
    "option behind a short one": (
        job("resources: {extra: ['-HJx']}"),
        ['5:21: "resources.extra[0]" must be one option an item, not "-HJx"'],
    ),
    "option with a field": (
        job("resources: {extra: ['--mem=1G']}"),
        ['5:21: "resources.extra[0]" may not set --mem: it has a field of its own'],
    ),
    "option with newline": (
        job('resources: {extra: ["--mail-type=END\\n--array=1"]}'),
        ['5:21: "resources.extra[0]" must be one line without control characters, not "--mail-type=END\\n--array=1"'],
    ),
    "workdir with ..": (CLUSTER + "workdir: ~/a/../b\n", ['3:10: "workdir" must not have ".." in it']),
    "workdir with a space": (
        CLUSTER + "workdir: /scratch/my runs\n",
        ['3:10: "workdir" may hold letters, digits, "._+@=,-" and $NAME only'],
    ),
    "workdir with a comma": (
        CLUSTER + "workdir: /scratch/me/c,d\n",
        ['3:10: "workdir" must not hold a comma: containers cannot be given such a directory'],
    ),
    "workdir with a command": (
        CLUSTER + "workdir: $(id)/x\n",
        ['3:10: "workdir" must be "auto", an absolute path, or a path that begins with ~ or $NAME, not "$(id)/x"'],
    ),
    "relative workdir": (
        CLUSTER + "workdir: scratch\n",
        ['3:10: "workdir" must be "auto", an absolute path, or a path that begins with ~ or $NAME, not "scratch"'],
    ),
    "host with an option": (
        CLUSTER + "connection: {host: -oProxyCommand=id}\n",
        ['3:20: "connection.host" must be a host name or address, not "-oProxyCommand=id"'],
    ),
    "jump with an option": (
        CLUSTER + "connection: {host: x, proxy_jump: '-J y'}\n",
        ['3:35: "connection.proxy_jump" must be [user@]host[:port], several separated by commas, not "-J y"'],
    ),
    "port out of range": (
        CLUSTER + "connection: {host: x, port: 70000}\n",
        ['3:29: "connection.port" must be at most 65535, not 70000'],
    ),
    "relative key": (
        CLUSTER + "connection: {host: x, identity_file: id_rsa}\n",
        ['3:38: "connection.identity_file" must be an absolute path or one that begins with "~/", not "id_rsa"'],
    ),
    "relative path in an absolute one": (
        CLUSTER + "connection: {host: x, identity_file: ~/../id}\n",
        ['3:38: "connection.identity_file" must not have ".." in it'],
    ),
    # Paths
    "files above": (job("files: [../x]"), ['5:9: "files[0]" must stay inside the repository: ".." is not allowed']),
    "files from the root": (
        job("files: [/etc/passwd]"),
        ['5:9: "files[0]" must be relative to the root of the repository, not "/etc/passwd"'],
    ),
    "files that are not there": (job("files: [srcc/]"), ['5:9: "srcc/" is not in this commit; did you mean "src"?']),
    "files by pattern": (
        job("files: ['src/*.py']"),
        ['5:9: "src/*.py" is not in this commit; patterns are not supported: name a directory'],
    ),
    "link out of the repository": (
        job("files: [links/out]"),
        ['5:9: the symbolic link "links/out" leads out of the repository (to "../../etc/passwd")'],
    ),
    "link out by way of a link": (
        job("files: [links/deep]"),
        ['5:9: the symbolic link "links/deep" leads out of the repository (to "a/b/../../x")'],
    ),
    "context that is not there": (
        "kind: Image\nname: bad\nbuild: {context: imgg}\n",
        ['3:18: the build context "imgg" is not in this commit; did you mean "img"?'],
    ),
    "context that is a file": (
        "kind: Image\nname: bad\nbuild: {context: src/a.py}\n",
        ['3:18: the build context "src/a.py" is not a directory'],
    ),
    "context without Dockerfile": (
        "kind: Image\nname: bad\nbuild: {context: src}\n",
        ['3:18: there is no "Dockerfile" in the build context "src"'],
    ),
    "Dockerfile that is not there": (
        "kind: Image\nname: bad\nbuild: {context: img, dockerfile: Other}\n",
        ['3:35: there is no "Other" in the build context "img"'],
    ),
    "Dockerfile outside": (
        "kind: Image\nname: bad\nbuild: {context: img, dockerfile: ../x}\n",
        ['3:35: "build.dockerfile" must stay inside the repository: ".." is not allowed'],
    ),
    "link out of the context": (
        "kind: Image\nname: bad\nbuild: {context: linked}\n",
        ['3:18: the symbolic link "linked/out" leads out of "linked" (to "../src/a.py")'],
    ),
    "test without a command": (IMAGE + "test: {required: true}\n", ['4:7: missing field "test.run_command"']),
    "placeholder without a value": (
        IMAGE + "test:\n  run_command: train --n <YOUR_EPOCH>\n  placeholders: {EPOCHS: '1'}\n",
        ['5:16: <YOUR_EPOCH> in test.run_command has no value; did you mean "EPOCHS"?'],
    ),
    "placeholder that no command has": (
        IMAGE + "test: {run_command: 'train <YOUR_N>', placeholders: {N: '1', YOUR_N: '2'}}\n",
        ['4:70: no command of the test has <YOUR_YOUR_N> in it; did you mean "N"?'],
    ),
    "data that nothing fills": (
        IMAGE + "test: {run_command: 'train <YOUR_DATA_DIRECTORY>'}\n",
        ["4:21: <YOUR_DATA_DIRECTORY> in test.run_command has no value"],
    ),
    "data directory given twice": (
        IMAGE + "test: {run_command: x, dataset_command: y, placeholders: {DATA_DIRECTORY: /data}}\n",
        ["4:75: <YOUR_DATA_DIRECTORY> is the directory that dataset_command fills"],
    ),
    "test of a SIF": (
        "kind: Image\nname: bad\nsif: /images/x.sif\ntest: {run_command: x}\n",
        ["4:7: a SIF that is there already cannot be tested: a test runs on the Docker Engine"],
    ),
    "test of a path": (
        IMAGE + "test: {run_command: x, repo_url: /srv/secret.git}\n",
        [
            '4:34: "test.repo_url" must be an address such as https://host/group/name or git@host:group/name,'
            ' not "/srv/secret.git"'
        ],
    ),
    "test by a program": (
        IMAGE + "test: {run_command: x, repo_url: 'ext::sh -c id'}\n",
        [
            '4:34: "test.repo_url" must be an address such as https://host/group/name or git@host:group/name,'
            ' not "ext::sh -c id"'
        ],
    ),
    "test with a password": (
        IMAGE + "test: {run_command: x, repo_url: 'https://me:secret@host/x'}\n",
        ['4:34: "test.repo_url" must not hold a user name or a password'],
    ),
    "ref that is an option": (
        IMAGE + "test: {run_command: x, ref: --upload-pack=x}\n",
        ['4:29: "test.ref" must be a branch, a tag or a commit, not "--upload-pack=x"'],
    ),
    # Look-ups
    "unknown look-up": (command("echo ${{ job.nam }}"), ['4:15: unknown name "job.nam"; did you mean "job.name"?']),
    "look-up with logic": (
        command("echo ${{ job.name || 'x' }}"),
        ["4:15: \"${{ job.name || 'x' }}\" is not a look-up: it holds a dotted name only, such as ${{ job.name }}"],
    ),
    "look-up that is not closed": (
        command("'echo ${{ job.name'"),
        ['4:16: a look-up is not closed: "}}" is missing after "${{"'],
    ),
    "empty look-up": (
        command("echo ${{ }}"),
        ['4:15: "${{ }}" is not a look-up: it holds a dotted name only, such as ${{ job.name }}'],
    ),
    "look-up of an axis that is not there": (
        command("echo ${{ matrix.lr }}"),
        ['4:15: unknown name "matrix.lr"'],
    ),
    "look-up without value": (
        command("echo ${{ image.name }}"),
        ['4:15: "image.name" has no value: this job has no image'],
    ),
    "look-up in line 3 of a command": (
        command("|\n  echo one\n  echo two ${{ job.x }}"),
        ['6:12: unknown name "job.x"; did you mean "job.name"?'],
    ),
    # References
    "cluster that is not there": (
        "kind: Job\nname: bad\ncluster: goood\ncommand: x\n",
        ['3:10: there is no Cluster named "goood"; did you mean "good"?'],
    ),
    "image that is not there": (
        job("image: torch"),
        [
            '5:8: cluster "good" runs no containers (containers: none), so a job on it has no image',
            '5:8: there is no Image named "torch"',
        ],
    ),
    "image on a cluster without containers": (
        IMAGE + "---\n" + job("image: bad").replace("name: bad", "name: badj", 1),
        ['9:8: cluster "good" runs no containers (containers: none), so a job on it has no image'],
    ),
    "cluster that is not valid": (
        CLUSTER + "workdir: x\n---\nkind: Job\nname: badj\ncluster: bad\ncommand: x\n",
        [
            '3:10: "workdir" must be "auto", an absolute path, or a path that begins with ~ or $NAME, not "x"',
            "7:10: needs Cluster/bad, which is not valid",
        ],
    ),
    "defined twice": (
        JOB + "---\n" + JOB,
        [
            "1:1: Job/bad is defined twice; the other is bad.yaml:6",
            "6:1: Job/bad is defined twice; the other is bad.yaml:1",
        ],
    ),
}
