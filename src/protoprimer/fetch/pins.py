# ruff: noqa: E501 - names of wheels are as long as they are
"""The pinned wheels of the tools; the tables are written by `tools/update_tool_pins.py`."""

__all__ = ["pinned_wheels"]

# First a tool's file names; then what `*` stands for, sha256, and the minor versions of Python 3 from which on a wheel
# is in the set, each up to the next one.
_PINS = {
    "uv": """\
uv-0.13.9-py3-none-*.whl
linux_armv6l 56ec37616c00220032fc7b8c9d0ef51367fd0d70d9cd6ddd841660f949f84fed 6
macosx_10_12_x86_64 c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5 6
macosx_11_0_arm64 66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63 6
manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64 5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe 6
manylinux_2_17_armv7l.manylinux2014_armv7l.musllinux_1_1_armv7l 7ec1e1dd9b6cb335c301afdf877989df384227313981850755a59561f75e4ab8 6
manylinux_2_17_i686.manylinux2014_i686 db5c8df7145c21ffea9c0f74e38823bac3af60cbadf0e26b8633f08627b17bab 6
manylinux_2_17_ppc64le.manylinux2014_ppc64le c5dbdb7c8737cd183a9dce95b39cfd1f3d54ec2a27a1bb58f160293f9ba2c805 6
manylinux_2_17_s390x.manylinux2014_s390x a6e845f387e4ed55bb59342957a9179e24a631fcc7668bda3426ae1cef8ed4b9 6
manylinux_2_17_x86_64.manylinux2014_x86_64 d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 6
manylinux_2_28_aarch64 ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375 6
manylinux_2_31_riscv64.musllinux_1_1_riscv64 6d5114bba238adddacb32fb11904f2b3ff4e988f8e9ff0d8d3b5e9822cf836b8 6
musllinux_1_1_i686 a2ee66fe8b6608e1482ab1bde5799da04705c1cb40324c7f66054ecf46ae6e40 6
musllinux_1_1_x86_64 2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25 6
win32 3eeeb51a267a2144640fcd8f38d4a2f63439b39bc47445fd84727c3fc462c843 6
win_amd64 6a44b2ed8111d2f60d2b92627c5dccda3f7ed7570b18ce115e569cd68c28246b 6
win_arm64 eeb92051c2123b9730c46b04cc843cfa4bc7d7b0aec56df431a2215ef4cb0273 6
""",
    "pip": """\
pip-*-py3-none-any.whl
21.3.1 deaf32dcd9ab821e359cd8330786bcd077604b5c5730c0b096eda46f95c24a2d 6
24.0 ba0d021a166865d2265246961bec0152ff124de910c5cc39f1156ce3fa7c69dc 7
25.0.1 c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f 8
26.0.1 bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b 9
26.3 f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13 10
""",
    "virtualenv": """\
*-none-any.whl
distlib-0.4.4-py2.py3 cf09d55b1e85a89576b036aeb71550bfd68320f3f21761ca329eadadad918638 9 6
filelock-3.19.1-py3 d38e30481def20772f5baf097c122c3babc4fcdb7e14e57049eb9d88c6dc017d 9
filelock-3.4.1-py3 a4bc51381e01502a30e9f06dd4fa19a1712eab852b6fb0f84fd7cce0793d8ca3 6
importlib_metadata-4.8.3-py3 65a9576a5b2d58ca44d133c42a241905cc45e34d2c06fd5ba2bafa221e5d7b5e 6
importlib_resources-5.4.0-py3 33a95faed5fc19b4bc16b29a6eeae248a3fe69dd55d4d229d2b480e23eeaad45 6
packaging-26.3-py3 d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c 9
platformdirs-2.4.0-py3 8868bbe3c3c80d42f20156f22e7131d2fb321f5bc86a2a345375c6481a67021d 6
platformdirs-4.4.0-py3 abd01743f24e5287cd7a5db3752faf1a2d65353f38ec26d98e25a6db65958c85 9
python_discovery-1.9.5-py3 a1fae8fca11e4bc61e38491c2aafff29e430b3c5e272d51ae52fb895bc4c0fac 9
typing_extensions-4.1.1-py3 21c85e0fe4b9a155d0799430b0ad741cdce7e359660ccbd8b530613e8df88ce2 6
typing_extensions-4.16.0-py3 481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8 9
virtualenv-20.17.1-py3 ce3b1684d6e1a20a3e5ed36795a97dfc6af29bc3970ca8dab93e11ac6094b3c4 6
virtualenv-21.15.8-py3 e4cb274633d6f3ddb19f535a3be7539ce8fe34fc7aa2b0c417ff6e96c3cf67dc 9
zipp-3.6.0-py3 9fe5ea21568a0a70e50f273397638d39b03353731e6cbbb3fd8502a33fec40bc 6
""",
}


def pinned_wheels(tool: str, version_info: "tuple[int, ...]" = (3, 6)) -> "dict[str, str]":
    """Return file name -> sha256 of a tool's wheels for a version of Python; nothing if that is too old."""
    form, *lines = _PINS[tool].splitlines()
    rows = [line.split() for line in lines]
    # The newest set that this Python is not too old for.
    chosen = 0
    for row in rows:
        for minor in map(int, row[2:]):
            if (3, minor) <= tuple(version_info):
                chosen = max(chosen, minor)
    wheels = {}
    for name, sha256, *minors in rows:
        if str(chosen) in minors:
            wheels[form.replace("*", name)] = sha256
    return wheels
