"""What an embedding of adult gives away about sex and race, and accuracy for women and men.

Both columns are set aside. An encoder learns from 10 000 rows without them; `attribute_leakage`
tries to tell them from its embedding, from that of the encoder untrained, and from the raw columns.
The same without the columns that say most: relationship, marital status, occupation. Then
`label_budget_report` with 100 labels, by sex.

    python benchmarks/tables.py --fetch     # once: download the tables
    python benchmarks/leakage.py            # -> results/leakage.md
"""

from pathlib import Path

import pandas as pd
from _data import default_cache, load
from _runner import markdown

from skssl import MultiTask, label_budget_report
from skssl.metrics import attribute_leakage

TELLING = ["relationship", "marital-status", "occupation"]


def leakage(X: pd.DataFrame, attribute: pd.Series) -> dict[str, str]:
    """Return the area under the ROC curve, with its interval, by what the probe reads."""
    found = {}
    for name, epochs in (("embedding", "auto"), ("embedding, untrained", 0)):
        Z = MultiTask(max_epochs=epochs, random_state=0).fit_transform(X)
        table = attribute_leakage(Z, attribute, X=X, random_state=0)
        found[name] = table.loc["embedding"]
    found |= {name: table.loc[name] for name in ("raw columns", "chance")}
    return {name: f"{r.score:.2f} ({r.low:.2f} to {r.high:.2f})" for name, r in found.items()}


def main() -> None:
    """Write the tables."""
    X, income = load("adult", default_cache())
    rows = X.sample(10_000, random_state=0).index
    X, income = X.loc[rows].reset_index(drop=True), income[rows]
    attributes = X[["gender", "race"]]
    attributes = attributes.assign(
        race=(attributes["race"] == "White").map({True: "white", False: "other"})
    )
    X = X.drop(columns=["gender", "race"])
    lines = []
    for columns in (X, X.drop(columns=TELLING)):
        for name in attributes:
            found = leakage(columns, attributes[name])
            lines.append([name, str(columns.shape[1]), *found.values()])
            print(lines[-1], flush=True)
    head = ["attribute", "columns", *found]
    report = label_budget_report(
        X,
        income,
        baselines={"PCA": "drop"},
        budgets=[100],
        sensitive_features=attributes["gender"],
        random_state=0,
    )
    scores = [name for name in report if name.startswith("score")]
    means = report.groupby("method", sort=False)[scores].mean() * 100
    table = [[name, *(f"{value:.1f}" for value in row)] for name, row in means.iterrows()]
    text = [
        "AUC of a probe, 95 % interval; 10 000 rows of adult:",
        markdown(head, lines),
        "Accuracy in % with 100 labels, 3 splits and 5 draws:",
        markdown(["method", *scores], table),
    ]
    path = Path(__file__).parent / "results" / "leakage.md"
    path.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
