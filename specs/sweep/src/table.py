"""Print a sweep's table, the most accurate point first, and keep the best one."""

import csv
import json
import sys
from pathlib import Path

with Path(sys.argv[1]).open(newline="") as table:
    rows = sorted(csv.DictReader(table), key=lambda row: (-float(row["accuracy"]), row["task"]))
print(f"{'accuracy':>8}  {'gamma':>6}  {'C':>5}")
for row in rows:
    print(f"{float(row['accuracy']):8.4f}  {row['gamma']:>6}  {row['C']:>5}")
Path("out").mkdir(exist_ok=True)
best = {"task": rows[0]["task"], "accuracy": float(rows[0]["accuracy"])}
Path("out/best.json").write_text(json.dumps(best))
