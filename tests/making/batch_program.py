"""What stands in for ``l8s2 harmonize SCENE -o OUT ... --json``: does with a scene what its file ``how`` says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from l8s2.batch.child import end_with_stdin
from l8s2.files import WholeFolder


def main() -> None:
    end_with_stdin()
    scene, output = Path(sys.argv[1]), Path(sys.argv[3])
    assert (sys.argv[2], sys.argv[-1]) == ("-o", "--json")
    how, _, value = (scene / "how").read_text().partition(" ")
    with (scene / "log").open("a") as file:
        file.write("begin\n")
    tries = (scene / "log").read_text().count("begin")
    print("warning: of a scene without pixels", file=sys.stderr)
    if how == "fail" or (how == "again" and tries <= int(value)):
        print("l8s2: the scene: is broken; mend it", file=sys.stderr)
        sys.exit(1 if how == "fail" else 75)
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    try:
        with WholeFolder(output / f"{scene.name}_S2L") as whole:
            time.sleep(float(value) if how == "slow" else 0)
            _write(scene.name, whole.workspace)
            made = whole.publish()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a full disk
        print(f"l8s2: {error}", file=sys.stderr)
        sys.exit(75)
    with (scene / "log").open("a") as file:
        file.write("end\n")
    print(json.dumps({"product": str(made)}))


def _write(name: str, folder: Path) -> None:
    day = int(name[23:25])
    (folder / f"{name}_SR.tif").write_bytes(os.urandom(100))
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": f"{name}_S2L",
        "geometry": {"type": "Point", "coordinates": [day, 8]}, "links": [],
        "bbox": [day, 8, day + 1, 9],
        "properties": {
            "datetime": f"2023-05-{day:02d}T05:00:00Z", "platform": "landsat-8", "gsd": 10.0, "l8s2:verdict": "pass",
            "l8s2:clear_percent": 98.5,
        },
        "assets": {"surface_reflectance": {"href": f"./{name}_SR.tif"}},
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(item))


if __name__ == "__main__":
    main()
