"""What gpu_webgpu.h declares of WebGPU is what the headers of the library that Hearth uses declare."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.conftest import CACHE

from hearth.compiler.cpu.link import CSRC
from hearth.errors import DeviceError
from hearth.runtime import gpu_library

# Constants of ours -> the names of the specification, and of wgpu-native for what is its own.
_VALUES = {
    "WGPU_MAP_READ": "WGPUBufferUsage_MapRead",
    "WGPU_MAP_WRITE": "WGPUBufferUsage_MapWrite",
    "WGPU_COPY_SRC": "WGPUBufferUsage_CopySrc",
    "WGPU_COPY_DST": "WGPUBufferUsage_CopyDst",
    "WGPU_UNIFORM": "WGPUBufferUsage_Uniform",
    "WGPU_STORAGE": "WGPUBufferUsage_Storage",
    "WGPU_QUERY_RESOLVE": "WGPUBufferUsage_QueryResolve",
    "WGPU_FOR_READING": "WGPUMapMode_Read",
    "WGPU_FOR_WRITING": "WGPUMapMode_Write",
    "WGPU_SHADER_SOURCE_WGSL": "WGPUSType_ShaderSourceWGSL",
    "WGPU_INSTANCE_EXTRAS": "WGPUSType_InstanceExtras",
    "WGPU_ALLOW_PROCESS_EVENTS": "WGPUCallbackMode_AllowProcessEvents",
    "WGPU_ALLOW_SPONTANEOUS": "WGPUCallbackMode_AllowSpontaneous",
    "WGPU_SUCCESS": "WGPUStatus_Success, WGPURequestDeviceStatus_Success, WGPUMapAsyncStatus_Success, "
    "WGPUPopErrorScopeStatus_Success, WGPUQueueWorkDoneStatus_Success",
    "WGPU_FILTER_VALIDATION": "WGPUErrorFilter_Validation",
    "WGPU_FILTER_OUT_OF_MEMORY": "WGPUErrorFilter_OutOfMemory",
    "WGPU_NO_ERROR": "WGPUErrorType_NoError",
    "WGPU_CHECK_BOUNDS": "WGPUShaderRuntimeChecks_BoundsChecks",
    "WGPU_BOUND_LOOPS": "WGPUShaderRuntimeChecks_ForceLoopBounding",
    "WGPU_TIMESTAMP_QUERY": "WGPUFeatureName_TimestampQuery",
    "WGPU_SHADER_F16": "WGPUFeatureName_ShaderF16",
    "WGPU_SUBGROUPS": "WGPUFeatureName_Subgroups",
    "WGPU_NATIVE_SUBGROUP": "WGPUNativeFeature_Subgroup",
    "WGPU_QUERY_TIMESTAMP": "WGPUQueryType_Timestamp",
    "WGPU_DISCRETE": "WGPUAdapterType_DiscreteGPU",
    "WGPU_INTEGRATED": "WGPUAdapterType_IntegratedGPU",
    "WGPU_CPU": "WGPUAdapterType_CPU",
    "WGPU_D3D12": "WGPUBackendType_D3D12",
    "WGPU_METAL": "WGPUBackendType_Metal",
    "WGPU_VULKAN": "WGPUBackendType_Vulkan",
    "WGPU_OPENGL": "WGPUBackendType_OpenGL",
    "WGPU_OPENGL_ES": "WGPUBackendType_OpenGLES",
    "WGPU_BACKENDS_PRIMARY": "WGPUInstanceBackend_Primary",
    "WGPU_BACKENDS_GL": "WGPUInstanceBackend_GL",
}


@pytest.fixture(scope="module")
def headers() -> Path:
    try:
        folder = gpu_library.find().parent
    except DeviceError as error:
        pytest.skip(str(error))
    if not (folder / "wgpu.h").is_file():
        pytest.skip("this wgpu brings no headers")
    return folder


def compiles(source: str, folder: Path, headers: Path) -> None:
    """Every assertion of the C source holds."""
    (folder / "check.c").write_text(source, encoding="ascii")
    zig_cache = str(CACHE / "zig")
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=zig_cache, ZIG_LOCAL_CACHE_DIR=zig_cache)
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c11", "-ferror-limit=0", "-c", "check.c", "-o", "check.o"]
    done = subprocess.run(
        [*command, f"-I{CSRC}", f"-I{headers}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def declared() -> str:
    return (CSRC / "gpu_webgpu.h").read_text(encoding="ascii")


def test_structures_have_the_same_layout(headers: Path, tmp_path: Path) -> None:
    structures = re.findall(
        r"^typedef struct(?: \w+)? \{\n(.*?)^\} (\w+); /\* (WGPU\w+) \*/", declared(), re.MULTILINE | re.DOTALL
    )
    assert len(structures) == declared().count("\n} wgpu_")
    lines = ['#include "wgpu.h"', '#include "gpu_webgpu.h"', "#include <stddef.h>"]
    for body, ours, theirs in structures:
        lines.append(f'_Static_assert(sizeof({ours}) == sizeof({theirs}), "{theirs}");')
        members = re.findall(r"\b(\w+)(?:\[\d+\])?;$|^    void \(\*(\w+)\)\(", body, re.MULTILINE)
        assert len(members) == body.count(";"), theirs
        for name in ("".join(each) for each in members):
            sizes = " == ".join(f"sizeof((({kind} *)0)->{name})" for kind in (ours, theirs))
            same = f"offsetof({ours}, {name}) == offsetof({theirs}, {name}) && {sizes}"
            lines.append(f'_Static_assert({same}, "{theirs}.{name}");')
    compiles("\n".join(lines) + "\n", tmp_path, headers)


def test_constants_have_the_same_values(headers: Path, tmp_path: Path) -> None:
    constants = set(re.findall(r"^    (WGPU_\w+) = ", declared(), re.MULTILINE))
    assert constants == set(_VALUES)
    # Flags are variables there, which no assertion may read: the text of their values is compared.
    lines = ['#include "wgpu.h"', '#include "gpu_webgpu.h"']
    header = (headers / "webgpu.h").read_text() + (headers / "wgpu.h").read_text()
    for ours, names in _VALUES.items():
        for theirs in names.split(", "):
            (value,) = set(re.findall(rf"\b{theirs} = ([^,;\n]+)[,;\n]", header))
            lines.append(f'_Static_assert({ours} == ({value}), "{theirs}");')
    compiles("\n".join(lines) + "\n", tmp_path, headers)


def test_functions_have_the_same_parameters(headers: Path, tmp_path: Path) -> None:
    """C takes a second declaration of a function only if its types agree with those of the first."""
    text = declared()
    types = dict(re.findall(r"(\w+);\s*/\* (WGPU\w+) \*/", text))
    functions = re.findall(r"X\(([^,]+), (\w+),\s*(?:\\\s*)?(\(.*?\))\)", text)
    assert len(functions) == text.count("    X(")
    lines = ['#include "wgpu.h"']
    for result, name, parameters in functions:
        declaration = f"{result} wgpu{name}{parameters};"
        for ours, theirs in types.items():
            declaration = re.sub(rf"\b{ours}\b", theirs, declaration)
        assert "wgpu_" not in declaration
        lines.append(declaration)
    compiles("\n".join(lines) + "\n", tmp_path, headers)
