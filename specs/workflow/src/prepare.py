"""Split scikit-learn's bundled digits into training, validation and test images."""

import json
from pathlib import Path

import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
rest_x, test_x, rest_y, test_y = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
train_x, check_x, train_y, check_y = train_test_split(rest_x, rest_y, test_size=0.25, random_state=0, stratify=rest_y)
Path("out").mkdir(exist_ok=True)
numpy.savez(
    "out/digits.npz",
    train_x=train_x, train_y=train_y, check_x=check_x, check_y=check_y, test_x=test_x, test_y=test_y,
)  # fmt: skip
Path("out/data.json").write_text(json.dumps({"images": len(images), "train": len(train_x), "test": len(test_x)}))
print(f"{len(images)} images: {len(train_x)} to train, {len(check_x)} to choose by, {len(test_x)} to test with")
