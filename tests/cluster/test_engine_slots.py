"""A machine runs as many engines as it has identities and GPUs for; on Ray each has a GPU to itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from pylfr.cluster.engine_slots import EngineSlot, slots_of
from tests.cluster.stage import Stage, wait_for


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, []),
        ({"pylfr_cameras": 40}, [(40, 0)]),
        ({"pylfr_cameras": 40, "GPU": 1}, [(40, 1)]),
        ({"pylfr_cameras": 41, "pylfr_engines": 2, "GPU": 2}, [(21, 1), (20, 1)]),
        # One of three GPUs is nobody's; two of three engines have none and are not started.
        ({"pylfr_cameras": 40, "pylfr_engines": 2, "GPU": 3}, [(20, 1), (20, 1)]),
        ({"pylfr_cameras": 40, "pylfr_engines": 3, "GPU": 1}, [(40, 1)]),
        ({"pylfr_cameras": 40, "pylfr_engines": 2}, [(20, 0), (20, 0)]),
    ],
)
def test_cameras_are_dealt_out_to_the_engines_that_have_a_gpu(
    resources: dict[str, float], expected: list[tuple[int, int]]
) -> None:
    assert list(slots_of(resources)) == [
        EngineSlot(number=number, cameras=cameras, gpus=gpus) for number, (cameras, gpus) in enumerate(expected)
    ]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install pylfr[cluster]")
def test_two_engines_of_one_machine_have_a_gpu_and_an_identity_each(folder: Path) -> None:
    with Stage(folder, "127.0.0.1") as stage, stage.connected():
        import ray

        from pylfr.cluster import driver

        try:
            # The machine names two GPUs that it has not: Ray takes its word for it.
            stage.add("a", "--also", folder / "b", "--num-gpus=2", cameras=7)
            cluster = driver.start(folder / "deployment.toml")
            wait_for(lambda: [each.name for each in cluster.status().nodes] == ["a", "b"], "both engines join")
            assert [each.capacity for each in cluster.status().nodes] == [4, 3]
            engines = [
                ray.get_actor(each["name"], namespace="pylfr")
                for each in ray.util.list_named_actors(all_namespaces=True)
                if str(each["name"]).startswith("engine ")
            ]
            gpus: list[list[str]] = ray.get([each.gpus.remote() for each in engines], timeout=60)
            assert sorted(gpus) == [["0"], ["1"]]
        finally:
            stage.nodes["a"].folder = Path(f"{folder / 'a'}:{folder / 'b'}")
