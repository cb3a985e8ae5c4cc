#!/usr/bin/env bash
# Run while the image is built: make the accounting database, and in it the cluster, accounts, users and limits.
set -euo pipefail

mariadb-install-db --user=mysql --skip-test-db --auth-root-authentication-method=socket >/dev/null
sandbox-service start munge mariadb
mariadb -e "CREATE DATABASE slurm_acct_db;
            CREATE USER slurm@localhost IDENTIFIED VIA unix_socket;
            GRANT ALL ON slurm_acct_db.* TO slurm@localhost;"
sandbox-service start slurmdbd

sacct_manager() { sacctmgr --immediate --quiet "$@" >/dev/null; }
sacct_manager add cluster sandbox
sacct_manager add account lab,other Cluster=sandbox Organization=sandbox
# An array counts with every task: six tasks are refused.
sacct_manager add qos capped MaxSubmitJobsPerUser=5
sacct_manager add user researcher Account=lab,other DefaultAccount=lab
sacct_manager modify user researcher set QOS=normal,capped DefaultQOS=normal
sacctmgr -nP show assoc user=researcher format=account,user,qos,defaultqos

sandbox-service stop slurmdbd mariadb munge
rm -f /var/log/slurm/* /var/log/mysql/*
