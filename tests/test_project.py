"""What contributors read and run beside the code: guides, hooks, workflows, the citation."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import skssl

ROOT = Path(__file__).parents[1]
GUIDES = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", read("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("name", [*GUIDES, ".github/workflows/ci.yml", ".pre-commit-config.yaml"])
def test_targets_that_files_name_exist(name):
    named = set(re.findall(r"(?:^|[`:] ?)make ([a-z][a-z-]*)", read(name), re.MULTILINE))
    for choices in re.findall(r"target: \[(.+)\]", read(name)):
        named |= set(choices.split(", "))
    assert named <= TARGETS, f"{name} names targets that the Makefile lacks"


def test_help_lists_every_target():
    listed = set(re.findall(r'@echo "make ([a-z-]+) ', read("Makefile")))
    assert listed == TARGETS - {"help"}


@pytest.mark.parametrize("name", GUIDES)
def test_paths_that_guides_name_exist(name):
    paths = re.findall(r"`((?:skssl|docs|tests|benchmarks)/[\w/.]*)`", read(name))
    paths += re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), f"{name} names {path}"


def test_workflow_runs_every_python_that_is_promised():
    (listed,) = re.findall(r"python: \[(.+)\]", read(".github/workflows/ci.yml"))
    ran = re.findall(r'"(3\.\d+)"', listed)
    named = [re.fullmatch(r".* :: (3\.\d+)", line) for line in project()["classifiers"]]
    promised = {match[1] for match in named if match}
    assert promised and promised <= set(ran)
    assert project()["requires-python"] == f">={ran[0]}"


def test_lower_bounds_become_exact_versions():
    named = runpy.run_path(str(ROOT / ".ci" / "lower_bounds.py"))
    optional = project()["optional-dependencies"]
    core = named["exact"](project()["dependencies"])
    assert set(core) >= {"numpy", "pandas", "scikit-learn", "torch"}
    tested = named["exact"](project()["dependencies"] + optional["test"])
    assert core.items() <= tested.items(), "the extra test hides a lower bound of the core"
    for extra, requirements in optional.items():
        for name, version in named["exact"](requirements).items():
            others = {named["exact"](of).get(name, version) for of in optional.values()}
            assert others == {version}, f"{extra} and others ask for different {name}"
    assert named["exact"](["a>=2.9", "b>=1", "a>=2.13"]) == {"a": "2.13", "b": "1"}


def test_hooks_run_what_lint_runs():
    entries = re.findall(r"entry: (?:\S*/)?(.+)", read(".pre-commit-config.yaml"))
    tools = {entry.replace(" --fix", "") for entry in entries}
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    ran = {line.split("/", 1)[1] for line in recipe.splitlines()}
    assert tools == {line.replace(" --check", "").removesuffix(" .") for line in ran}


def test_the_citation_is_of_this_version():
    fields = dict(re.findall(r"^([a-z-]+): (.+)$", read("CITATION.cff"), re.MULTILINE))
    assert {"cff-version", "message", "title"} <= set(fields)
    assert fields["version"] == skssl.__version__ == project()["version"]
    assert fields["license"] == project()["license"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_have_what_forms_need(path):
    text = path.read_text(encoding="utf-8")
    if path.name != "config.yml":
        ids = re.findall(r"^    id: (\w+)$", text, re.MULTILINE)
        kinds = re.findall(r"^  - type: (?:textarea|input)$", text, re.MULTILINE)
        assert re.match(r"name: .+\ndescription: .+\nlabels: \[\w+\]\nbody:\n", text)
        assert len(ids) == len(set(ids)) == len(kinds) == text.count("      label: ") > 0


def test_there_are_forms_for_each_purpose():
    assert {path.stem for path in FORMS} == {"bug", "feature", "method", "question", "config"}
