"""Makes the files of this folder, with Python's own writers: safetensors and numpy.

    python make_files.py OUTDIR

Element i of every array is (7 i mod 23) - 5, or 7 i mod 23 in u8. README.md lists the files.
"""
import sys

import numpy as np
import safetensors.torch
import torch

SHAPES = [(), (1,), (5,), (0,), (2, 3), (3, 0, 2), (2, 1, 3), (2, 3, 1, 2), (1, 2, 1, 2, 3), (2, 1, 1, 2, 1, 3),
          (1, 1, 2, 1, 1, 1, 2), (2, 1, 1, 1, 3, 1, 1, 2)]
TYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
         "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8}


def values(shape, dtype):
    count = int(np.prod(shape))
    numbers = 7 * torch.arange(count) % 23 - (0 if dtype == torch.uint8 else 5)
    return numbers.to(dtype).reshape(shape)


def save(path, array, version=(1, 0)):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, version=version)


def main(folder):
    tensors = {f"{name} {list(shape)}": values(shape, dtype) for name, dtype in TYPES.items() for shape in SHAPES}
    metadata = {"note": 'a "b" \\ / \n\t\x01 \u00e9\u4e2d\U0001f600', "": "empty key", "empty value": ""}
    safetensors.torch.save_file(tensors, f"{folder}/python.safetensors", metadata)
    for name, dtype in TYPES.items():
        array = values((2, 3), dtype)
        save(f"{folder}/{name}.npy", array.view(torch.int16).numpy().view("V2") if name == "bf16" else array.numpy())
    f32, i64, f64 = (lambda shape, dtype=dtype: values(shape, dtype).numpy()
                     for dtype in (torch.float32, torch.int64, torch.float64))
    save(f"{folder}/rank0.npy", f64(()))
    save(f"{folder}/rank8.npy", i64(SHAPES[-1]))
    save(f"{folder}/empty.npy", f32((3, 0, 2)))
    save(f"{folder}/fortran2.npy", np.asfortranarray(f32((3, 5))))
    save(f"{folder}/fortran4.npy", np.asfortranarray(i64((2, 3, 1, 2))))
    save(f"{folder}/version2.npy", f32((2, 3)), (2, 0))
    save(f"{folder}/version3.npy", f64((5,)), (3, 0))


if __name__ == "__main__":
    main(sys.argv[1])
