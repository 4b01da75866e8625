#!/usr/bin/env python3
"""Imports the application where that works; else the kernel's main, which makes it work and starts this again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

try:
    from hand_app import main as selected_main
except ImportError:
    from boot_kernel import main as selected_main

sys.exit(selected_main())
