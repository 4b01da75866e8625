#!/usr/bin/env python3
"""Imports the kernel under a name of its own, and names the function to run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import boot_kernel as pk

if __name__ == "__main__":
    pk.run_main("hand_app:main")
