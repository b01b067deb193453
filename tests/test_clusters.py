"""Simulations on a cluster by joblib's backend, with a worker that is killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time

import distributed
import h5py
import joblib
import numpy as np

from zoo.data.fields.design import FieldsConfig
from zoo.data.fields.simulate import simulate

COUNT = 30


def test_a_cluster_makes_every_field_though_a_worker_is_killed(tmp_path):
    config = FieldsConfig(simulations=COUNT, particles=32, box=50.0, steps=10)
    folder = tmp_path / "cluster"
    killed = threading.Event()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster),
    ):
        process = next(iter(cluster.workers.values())).pid

        def kill() -> None:
            while len(list(folder.glob("field-*.h5"))) < 2:
                time.sleep(0.01)
            os.kill(process, signal.SIGKILL)
            killed.set()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        with joblib.parallel_config(backend="dask"):
            paths = simulate(folder, config, range(COUNT))
        thread.join(timeout=10)
    assert killed.is_set()
    assert sorted(folder.glob("*.h5")) == sorted(paths)
    alone = simulate(tmp_path / "alone", config, [0, COUNT - 1], jobs=1)
    for here, there in zip(alone, (paths[0], paths[-1]), strict=True):
        with h5py.File(here) as one, h5py.File(there) as other:
            np.testing.assert_allclose(one["density"][()], other["density"][()], rtol=1e-5, atol=1e-5)
