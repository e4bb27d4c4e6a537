"""A support vector machine of scikit-learn on the features of trained weights, tested on people it has not seen.

    python examples/svm_on_features.py samples-flow

Takes a manifest or a prepared folder with labels and subjects; needs the extra sklearn. Nothing of htnet is trained:
the weights make features, and the machine learns from these. It is tested by leaving one subject out at a time.
"""

import argparse
import sys

from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import htnet
from htnet.errors import HtnetError
from htnet.metrics import score


def main() -> None:
    parser = argparse.ArgumentParser(description="A support vector machine, one subject left out at a time.")
    parser.add_argument("data", help="manifest CSV, or a prepared folder")
    parser.add_argument("--weights", default="synthetic", help="what makes the features (default: %(default)s)")
    args = parser.parse_args()

    found = htnet.embed(args.data, args.weights)
    classes = sorted({str(sample.label) for sample in found.samples})
    truth = [classes.index(str(sample.label)) for sample in found.samples]
    people = [f"{sample.dataset}/{sample.subject}" for sample in found.samples]
    machine = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    answers = cross_val_predict(machine, found.features, truth, groups=people, cv=LeaveOneGroupOut())
    scores = score(truth, answers, len(classes))
    print(f"{len(truth)} samples of {len(set(people))} people, {found.features.shape[1]} features")
    print(f"UF1 {scores.uf1:.4f}, UAR {scores.uar:.4f}")


if __name__ == "__main__":
    try:
        main()
    except HtnetError as error:
        sys.exit(f"svm_on_features: {error}")
