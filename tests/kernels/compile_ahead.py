"""Compile the Triton kernels for compute capability 9.0, without a device: a line for each with its sizes.

Run without TRITON_INTERPRET: ``python -m tests.kernels.compile_ahead``.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from htnet.kernels import triton_kernels as kernels
from htnet.kernels.triton_attention import tiling

TARGET = GPUTarget("cuda", 90, 32)
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
WHOLE = (kernels.forward_kernel, kernels.backward_kernel)
LONG = (kernels.backward_queries_kernel, kernels.backward_keys_kernel)


def compile_kernel(kernel, tokens, head_dim, dtype, **changes):
    """As `htnet.kernels.triton_attention` would launch it, with a bias that needs a gradient."""
    sizes = tiling(tokens, head_dim, dtype.itemsize, backward=kernel is not kernels.forward_kernel)
    known = {
        "tokens": tokens, "dim": head_dim, "chunk": sizes.chunk, "group": sizes.group, "rows": sizes.rows,
        "keys": sizes.keys, "has_bias": True, "bias_grad": True, "side": 0, "precision": "ieee", **changes,
    }  # fmt: skip
    constants = {name: value for name, value in known.items() if name in kernel.arg_names}
    signature, aligned = {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif name == "scale":
            signature[name] = "fp32"
        elif name in ("sums", "products", "grad_bias"):
            signature[name] = "*fp32"
        elif name in ("q", "k", "v", "bias", "out", "grad", "grad_q", "grad_k", "grad_v"):
            signature[name], aligned[(i,)] = f"*{NAMES[dtype]}", [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=TARGET, options={"num_warps": sizes.warps, "num_stages": 1})


def main():
    cases = [(kernel, 9, 85, torch.bfloat16, {"side": 3}) for kernel in WHOLE]
    cases += [(kernels.forward_kernel, 4, 16, torch.float32, {"has_bias": False})]
    cases += [(kernel, 196, 64, torch.float16, {}) for kernel in LONG]
    for kernel, tokens, head_dim, dtype, changes in cases:
        made = compile_kernel(kernel, tokens, head_dim, dtype, **changes)
        print(f"{kernel.__name__}_{tokens}x{head_dim}", made.metadata.shared, len(made.asm["cubin"]))


if __name__ == "__main__":
    main()
