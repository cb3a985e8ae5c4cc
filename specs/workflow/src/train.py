"""Train a classifier for one gamma and C on what ``prepare`` has left, and keep the model and its accuracy."""

import json
import pickle
import sys
from pathlib import Path

import numpy
from sklearn.svm import SVC

prepared, gamma, c = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
data = numpy.load(prepared / "out/digits.npz")
model = SVC(gamma=gamma, C=c).fit(data["train_x"], data["train_y"])
accuracy = model.score(data["check_x"], data["check_y"])
Path("out").mkdir(exist_ok=True)
Path("out/model.pickle").write_bytes(pickle.dumps(model))
Path("out/metrics.json").write_text(json.dumps({"accuracy": accuracy}))
print(f"gamma {gamma} C {c} accuracy {accuracy:.4f}")
