"""Train a support vector classifier on scikit-learn's bundled digits for one gamma and C, and keep its accuracy."""

import json
import sys
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

gamma, c = (float(word) for word in sys.argv[1:3])
images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
accuracy = SVC(gamma=gamma, C=c).fit(train_x, train_y).score(test_x, test_y)
Path("out").mkdir(exist_ok=True)
Path("out/metrics.json").write_text(json.dumps({"accuracy": accuracy, "images": len(images)}))
print(f"gamma {gamma} C {c} accuracy {accuracy:.4f}")
