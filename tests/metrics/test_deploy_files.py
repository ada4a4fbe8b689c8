"""The dashboard and the alerts speak of metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).parents[2] / "deploy"
SMALL = {"prompt": "a", "width": 64, "height": 32, "num_inference_steps": 1}


@pytest.fixture(scope="module")
def known(client: httpx.Client) -> set[str]:
    """Names of the service's samples, those of GPUs included."""
    client.post("/text-to-image", json=SMALL)
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    names = {sample.name for family in families for sample in family.samples}
    return names | {family.name for family in families}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"runner_\w+", expression))


def test_every_panel_asks_for_metrics_that_exist(known: set[str]) -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "runner.json").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert len(expressions) > 10
    for expression in expressions:
        assert metrics_in(expression) <= known, expression


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((DEPLOY / "grafana" / "runner.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_asks_for_metrics_that_exist_and_says_what_to_do(known: set[str]) -> None:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]:
        assert metrics_in(rule["expr"]) <= known, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "remedy"}
