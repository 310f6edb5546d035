"""Cut the aligned master crop of every portrait: `python prepare_faces.py`. A minute or two; reruns do nothing."""

from __future__ import annotations

import cv2
import numpy as np
from align import MASTER_PX, crop, master_template
from face_store import Faces, save_faces
from people import images_of, lfw_dir, work_dir
from teachers import DetectionTeacher
from tqdm import tqdm


def main() -> None:
    """Cut both sides of the split."""
    cv2.setNumThreads(1)
    teacher = DetectionTeacher()
    for side in ("learn", "held_out"):
        target = work_dir() / f"faces_{side}.npz"
        if target.exists():
            continue
        faces, names, landmarks, paths = [], [], [], []
        for name, path in tqdm(images_of(lfw_dir(), held_out=side == "held_out"), desc=side):
            image = cv2.imread(str(path))
            found = teacher.detect(image)
            if not len(found):
                continue
            middle = np.array([image.shape[1], image.shape[0]]) / 2
            # The named person is the one in the middle; bystanders stand at the edge.
            best = found[np.argmin(np.linalg.norm((found[:, :2] + found[:, 2:4]) / 2 - middle, axis=1))]
            points = best[4:14].reshape(5, 2)
            faces.append(crop(image, points, master_template(), MASTER_PX))
            names.append(name)
            landmarks.append(points)
            paths.append(f"{name}/{path.name}")
        found_faces = Faces(
            crops=np.stack(faces), names=np.array(names), landmarks=np.stack(landmarks), paths=np.array(paths)
        )
        save_faces(target, found_faces)
        tqdm.write(f"{target}: {len(faces)} faces of {len(set(names))} people")


if __name__ == "__main__":
    main()
