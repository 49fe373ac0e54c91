"""The side of the case ``languages``: the same graph asked from Python and from Node.

Node runs the JavaScript of ``docs/serving.md`` as it stands there. ``onnxruntime-node`` is the one
that ``require`` finds, or npm installs it into a folder that is removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from benchmarks.clock import Clock
    from din_core.config import DINConfig

_PACKAGE = "onnxruntime-node@1.22.0"
#: Reads requests, answers each so many times, and writes scores and milliseconds.
_PROGRAM = """
const fs = require("fs");
const { rank } = require("./rank");
(async () => {
  const { folder, requests, times } = JSON.parse(fs.readFileSync("requests.json", "utf8"));
  const answers = [];
  for (const { user, history, candidates } of requests) {
    let ranked;
    const milliseconds = [];
    for (let turn = 0; turn <= times; turn++) {
      const begin = process.hrtime.bigint();
      ranked = await rank(folder, user, history, candidates);
      milliseconds.push(Number(process.hrtime.bigint() - begin) / 1e6);
    }
    answers.push({ ranked, milliseconds: milliseconds.slice(1) });
  }
  fs.writeFileSync("answers.json", JSON.stringify(answers));
})();
"""


class MissingToolError(Exception):
    """Node or its onnxruntime is not there; the message says which."""


def ask_in_languages(
    clock: Clock,
    model: Mapping[str, Any],
    vocabulary: Mapping[str, int],
    length: int,
    n_candidates: int,
    times: int,
) -> dict[str, Any]:
    """Rank with the same ``rank.onnx`` in Python and in Node, on ids of integers and of text.

    Both open the graph for each ranking, as the page's example does. Weights are random.

    Args:
        clock: Of this process.
        model: Fields of :class:`din_core.config.DINConfig`.
        vocabulary: Number of ids by column.
        length: Events of the history.
        n_candidates: Candidates of a request.
        times: How often a request is asked.

    Returns:
        By kind of ids the largest difference of two probabilities, and the least milliseconds of
        each; or ``missing``, a sentence, where there is no Node to ask.
    """
    from din_core.config import DINConfig, config_from_mapping

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            node = _node(folder)
        except MissingToolError as error:
            return {"missing": str(error)}
        clock.start()
        kinds = {
            kind: _compared(
                folder / kind,
                node,
                config_from_mapping(DINConfig, model),
                vocabulary,
                _Request(length, n_candidates, times, as_text=kind == "texts"),
            )
            for kind in ("integers", "texts")
        }
        clock.stop()
    return {"node": node["version"], "candidates": n_candidates, "length": length, "kinds": kinds}


def _node(folder: Path) -> dict[str, str]:
    """Return how Node is run so that it finds onnxruntime: program, version and NODE_PATH."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        raise MissingToolError("there is no node on the PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    path = os.environ.get("NODE_PATH", "")
    found = {"program": node, "version": version.stdout.strip(), "path": path}
    probe = [node, "-e", "require('onnxruntime-node')"]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return found
    if npm is None:
        raise MissingToolError("node finds no onnxruntime-node, and there is no npm to install it")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), _PACKAGE]
    # The package has the library for processors; only those for graphics cards would be fetched.
    without_cards = {**os.environ, "ONNXRUNTIME_NODE_INSTALL": "skip"}
    done = subprocess.run(install, capture_output=True, text=True, check=False, env=without_cards)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingToolError(f"npm cannot install {_PACKAGE}: {last}")
    return {**found, "path": str(folder / "node_modules")}


@dataclass(frozen=True)
class _Request:
    """A ranking: events of the history, candidates, how often it is asked, and the type of ids."""

    length: int
    n_candidates: int
    times: int
    as_text: bool


def _compared(
    folder: Path,
    node: Mapping[str, str],
    config: DINConfig,
    vocabulary: Mapping[str, int],
    request: _Request,
) -> dict[str, float]:
    import numpy as np

    from benchmarks.serving_sides import write_graphs

    folder.mkdir()
    random = np.random.default_rng(2022)
    cates = random.integers(1, vocabulary["cate_id"] + 1, vocabulary["item_id"])
    items = write_graphs(config, vocabulary, cates, request.length, folder, as_text=request.as_text)
    some = random.permutation(items)[: request.n_candidates - 1].tolist()
    asked = {
        "user": items[0],
        "history": random.choice(items, request.length).tolist(),
        # One that the model does not know is among them.
        "candidates": [*some, items[-1] * 2],
    }
    ours, milliseconds = _in_python(folder / "rank.onnx", asked, request.times)
    requests = {"folder": str(folder), "requests": [asked], "times": request.times}
    (folder / "requests.json").write_text(json.dumps(requests))
    (folder / "rank.js").write_text(_javascript_of_the_page())
    (folder / "main.js").write_text(_PROGRAM)
    environment = {**os.environ, "NODE_PATH": node["path"]}
    subprocess.run([node["program"], "main.js"], cwd=folder, env=environment, check=True)
    [answer] = json.loads((folder / "answers.json").read_text())
    theirs = dict(answer["ranked"])
    if theirs.keys() != ours.keys():
        raise RuntimeError("Node ranked other candidates than it was asked for")
    return {
        "largest_difference": max(abs(ours[item] - theirs[item]) for item in ours),
        "python_ms": round(min(milliseconds), 3),
        "node_ms": round(min(answer["milliseconds"]), 3),
    }


def _in_python(
    graph: Path, asked: Mapping[str, Any], times: int
) -> tuple[dict[Any, float], list[float]]:
    import numpy as np
    import onnxruntime

    scores, milliseconds = np.zeros(0), list[float]()
    for _ in range(times + 1):
        begin = time.perf_counter()
        session = onnxruntime.InferenceSession(str(graph))
        dtypes = {
            each.name: object if "string" in each.type else np.int64
            for each in session.get_inputs()
        }
        ids = {
            "user_id": [asked["user"]],
            "history_item_id": asked["history"],
            "candidate_item_id": asked["candidates"],
        }
        feeds = {name: np.array(ids[name], dtype) for name, dtype in dtypes.items()}
        [scores] = session.run(["probability"], feeds)
        milliseconds.append(1e3 * (time.perf_counter() - begin))
    return dict(zip(asked["candidates"], map(float, scores), strict=True)), milliseconds[1:]


def _javascript_of_the_page() -> str:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```javascript\n(.*?)```", page, flags=re.S)
    return code
