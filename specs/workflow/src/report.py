"""Test the picked model on images that nobody has looked at yet, and write it up."""

import json
import pickle
import sys
from pathlib import Path

import numpy

prepared, picked, images, gamma, c = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:6]
data = numpy.load(prepared / "out/digits.npz")
model = pickle.loads((picked / "out/model.pickle").read_bytes())
right = model.predict(data["test_x"]) == data["test_y"]
lines = [
    "# Digits",
    "",
    f"Of {images} images, {len(right)} were kept for this test. The model has gamma {gamma} and C {c}.",
    "",
    "| digit | images | right |",
    "|---|---|---|",
]
for digit in range(10):
    of_digit = data["test_y"] == digit
    lines.append(f"| {digit} | {of_digit.sum()} | {right[of_digit].mean():.1%} |")
lines += ["", f"Accuracy: {right.mean():.4f}"]
Path("out").mkdir(exist_ok=True)
Path("out/report.md").write_text("\n".join(lines) + "\n")
Path("out/report.json").write_text(json.dumps({"accuracy": float(right.mean())}))
print("\n".join(lines))
