"""``gnnlab fit`` on two processes: one folder, one voice, the metric of the whole split."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_processes_make_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gnnlab", "fit", "-c", "quickstart/ring-transfer/gcn-virtual-node"]
    command += ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]
    command += ["--trainer.max_epochs=2", f"--runs={tmp_path}"]
    # The processes pytest runs in must not look like part of the run.
    hidden = {"LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("epoch 2/2") == run.stdout.count("checkpoint:") == 1
    assert [path.name for path in (tmp_path / "quickstart/ring-transfer/gcn-virtual-node/fit").iterdir()] == [
        "version_0"
    ]
    assert "sync_dist" not in run.stderr
