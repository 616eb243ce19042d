"""Fast paths of single operations on a processor: C++ without torch's headers, compiled on the user's own machine.

    build.py    compiles NAME.cpp when it is first used and keeps the library in the user's cache folder
    call.py     whether a kernel can take given tensors; how it is called
    vector.h    bfloat16 and elementary functions, for the .cpp files
    matrix.h    products of small matrices, which stay in the first cache
    panels.h    products of large ones, piece by piece; panels.py says which fit
    NAME.cpp    functions of plain pointers, for float32 and for bfloat16 (stored so, computed in float32)
    NAME.py     the same as an operator of torch, with its gradient where training takes it: what blocks/ and data/ call

Each is the twin of a few lines of plain PyTorch in blocks/, which define what it computes, and which run wherever it
cannot: on other devices and in other types, under torch.func, without a compiler, with FILMGRAIN_KERNELS=0.
Results do not depend on the number of threads. See docs/decisions/018-kernels.md.
"""
