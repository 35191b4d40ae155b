"""Terraform configurations in HCL: what becomes of variables, locals, modules and dynamic blocks."""

from __future__ import annotations

import contextlib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.app.assess_posture import assess
from seawall.domain.posture import Status
from seawall.posture.loading import load
from seawall.posture.terraform.hcl import MAX_BYTES, parse

REGISTRY = 'resource "azurerm_container_registry" "r" {\n  name = "r"\n  sku = "Premium"\n  admin_enabled = %s\n}\n'
EKS = 'resource "aws_eks_cluster" "e" {\n  name = "e"\n  vpc_config {\n    endpoint_public_access = true\n    public_access_cidrs = %s\n  }\n}\n'
POOLS = """
resource "aws_eks_cluster" "e" {
  name = "e"
  dynamic "encryption_config" {
    for_each = %s
    content {
      resources = ["secrets"]
      provider { key_arn = "arn:aws:kms:eu-west-1:1:key/k" }
    }
  }
}
"""
REPOSITORY = 'resource "aws_ecr_repository" "r" {\n  name = "app"\n}\n'
POLICY = 'resource "aws_ecr_repository_policy" "p" {\n  repository = aws_ecr_repository.r.name\n  policy = %s\n}\n'
PUBLIC = (
    'jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = "*", Action = ["ecr:*"] }] })'
)
DOCUMENT = 'data "aws_iam_policy_document" "p" {\n  statement {\n    actions = ["ecr:*"]\n    principals {\n      type = "*"\n      identifiers = ["*"]\n    }\n    %s\n  }\n}\n'
HEREDOC = '<<EOF\n{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}]}\nEOF'


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def status(target: Path, control: str) -> Status:
    loaded = load(target)
    assert loaded.notes == []
    return assess(loaded.objects, today=date(2026, 1, 1), controls=[control]).status_of(control)


@pytest.mark.parametrize(
    ("control", "files", "expected"),
    [
        pytest.param("RG-01", {"a.tf": REGISTRY % "true"}, Status.FAIL, id="literal"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "false"}, Status.PASS, id="literal off"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "var.x", "v.tf": 'variable "x" { default = true }'}, Status.FAIL, id="default of a variable"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "var.x", "v.tf": 'variable "x" {}'}, Status.UNKNOWN, id="variable without default"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "var.x", "v.tf": 'variable "x" { default = true }', "terraform.tfvars": "x = false"}, Status.PASS, id="tfvars over default"),
        pytest.param("RG-01", {"a.tf": REGISTRY % 'var.env == "dev"', "v.tf": 'variable "env" { default = "prod" }'}, Status.UNKNOWN, id="an expression is not computed"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "local.x", "l.tf": "locals {\n  x = local.y.z\n  y = { z = true }\n}"}, Status.FAIL, id="local of a local"),
        pytest.param("RG-01", {"a.tf": REGISTRY % "local.x", "l.tf": "locals {\n  x = local.x\n}"}, Status.UNKNOWN, id="local of itself"),
        pytest.param("RG-01", {"a.tf": (REGISTRY % "true").replace("{", "{\n  count = 0", 1)}, Status.NOT_APPLICABLE, id="count 0"),
        pytest.param("RG-01", {"a.tf": 'module "m" {\n  source = "./m"\n  x = true\n}\n', "m/a.tf": REGISTRY % "var.x" + 'variable "x" { default = false }'}, Status.FAIL, id="module as it is called"),
        pytest.param("RG-01", {"a.tf": 'module "m" {\n  source = "./"\n}\n' + REGISTRY % "true"}, Status.FAIL, id="module that calls itself"),
        pytest.param("EK-01", {"a.tf": EKS % '["10.0.0.0/8"]'}, Status.PASS, id="block"),
        pytest.param("EK-01", {"a.tf": EKS % "local.open", "l.tf": 'locals {\n  open = ["0.0.0.0/0"]\n}'}, Status.FAIL, id="list of a local"),
        pytest.param("EK-04", {"a.tf": POOLS % "[1]"}, Status.PASS, id="dynamic block"),
        pytest.param("EK-04", {"a.tf": POOLS % "[]"}, Status.FAIL, id="dynamic block over nothing"),
        pytest.param("RG-11", {"a.tf": REPOSITORY, "p.tf": POLICY % PUBLIC}, Status.FAIL, id="policy by jsonencode, in another file"),
        pytest.param("RG-11", {"a.tf": REPOSITORY, "p.tf": POLICY % HEREDOC}, Status.FAIL, id="policy as here-document"),
        pytest.param("RG-11", {"a.tf": REPOSITORY, "p.tf": POLICY % "data.aws_iam_policy_document.p.json" + DOCUMENT % ""}, Status.FAIL, id="policy of a data block"),
        pytest.param("RG-11", {"a.tf": REPOSITORY, "p.tf": POLICY % "data.aws_iam_policy_document.p.json" + DOCUMENT % 'condition {\n test = "StringEquals"\n variable = "aws:PrincipalOrgID"\n values = ["o-1"]\n}'}, Status.PASS, id="policy of a data block with a condition"),
        pytest.param("RG-11", {"a.tf": REPOSITORY, "p.tf": POLICY % "data.aws_iam_policy_document.p.json"}, Status.UNKNOWN, id="policy computed elsewhere"),
    ],
)  # fmt: skip
def test_configuration(tmp_path: Path, control: str, files: dict[str, str], expected: Status) -> None:
    assert status(written(tmp_path, files), control) is expected


def test_dynamic_blocks_of_unknown_number_are_no_verdict(tmp_path: Path) -> None:
    assert status(written(tmp_path, {"a.tf": POOLS % "var.keys"}), "EK-04") is not Status.PASS


def test_one_file_is_judged_alone(tmp_path: Path) -> None:
    assert status(written(tmp_path, {"a.tf": REGISTRY % "true"}) / "a.tf", "RG-01") is Status.FAIL


def test_what_cannot_be_read_is_a_note_and_the_rest_is_judged(tmp_path: Path) -> None:
    big = REGISTRY % "true" + "#" * MAX_BYTES
    folder = written(
        tmp_path, {"x/bad.tf": 'resource "aws_eks_cluster" {{{', "y/big.tf": big, "z/a.tf": REGISTRY % "true"}
    )
    loaded = load(folder)
    assert sorted(note.reason for note in loaded.notes) == ["larger than 256 KiB of HCL", "not valid HCL (line 1)"]
    assert len(loaded.objects) == 1


@given(st.text(max_size=60))
def test_any_text_is_a_body_or_a_clear_error(source: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(source), dict)


def test_locals_that_double_end_at_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("seawall.posture.terraform.hcl.MAX_VALUES", 20_000)
    texts = "\n".join(f'  t{n} = "${{local.t{n - 1}}}${{local.t{n - 1}}}"' for n in range(1, 60))
    lists = "\n".join(f"  l{n} = [local.l{n - 1}, local.l{n - 1}]" for n in range(1, 60))
    source = f'locals {{\n  t0 = "0123456789"\n  l0 = ["x"]\n{texts}\n{lists}\n}}\n'
    folder = written(
        tmp_path,
        {"main.tf": source + REGISTRY % "local.t59" + 'resource "aws_eks_cluster" "e" {\n  name = local.l59\n}\n'},
    )
    loaded = load(folder)
    assert ["more than 20,000 values" in note.reason for note in loaded.notes] == [True]


def test_modules_that_call_each_other_twice_end_at_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("seawall.posture.terraform.hcl.MAX_MODULES", 50)
    call = 'module "%s" {\n  source = "../m%d"\n}\n'
    files = {f"m{n}/main.tf": call % ("a", n + 1) + call % ("b", n + 1) for n in range(12)}
    loaded = load(written(tmp_path, files | {"m12/main.tf": REGISTRY % "true"}))
    assert ["more than 50 module calls" in note.reason for note in loaded.notes] == [True]


def test_what_is_yet_to_be_computed_is_no_failure(tmp_path: Path) -> None:
    scan = 'resource "aws_ecr_repository" "r" {{\n  name = "r"\n  image_scanning_configuration {{\n    scan_on_push = {}\n  }}\n}}\n'
    for value, status in (("data.x.y.z", Status.UNKNOWN), ("false", Status.FAIL), ("true", Status.PASS)):
        (tmp_path / "main.tf").write_text(scan.format(value))
        report = assess(load(tmp_path).objects, today=date(2026, 8, 1), controls=["RG-12"])
        assert report.status_of("RG-12") is status
