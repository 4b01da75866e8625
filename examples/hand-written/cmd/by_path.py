#!/usr/bin/env python3
"""Loads the kernel by its path, without an entry in `sys.modules`."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent / "tools" / "boot_kernel.py"
SPEC = importlib.util.spec_from_file_location("kernel_by_path", PATH)
KERNEL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(KERNEL)

KERNEL.run_main("hand_app:main")
