"""Pick the most accurate model from the table of ``train``, and copy it here."""

import csv
import json
import shutil
import sys
from pathlib import Path

with Path(sys.argv[1]).open(newline="") as table:
    best = min(csv.DictReader(table), key=lambda row: (-float(row["accuracy"]), row["task"]))
Path("out").mkdir(exist_ok=True)
shutil.copyfile(Path(best["run_dir"], "out/model.pickle"), "out/model.pickle")
Path("out/best.json").write_text(json.dumps({name: best[name] for name in ("task", "gamma", "C", "accuracy")}))
print(f"best: {best['task']}, accuracy {float(best['accuracy']):.4f}")
