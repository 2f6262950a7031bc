# From uv's lock of PyTorch and its CUDA packages to one for either build of PyTorch (see `make lock`).
BEGIN {
	print "# PyTorch's build for CPUs (its last hash) needs no more than this. The build for NVIDIA GPUs also needs the"
	print "# packages that `pip install torch` brings; SageMaker's training container has them."
}
/^[a-z]/ { dropped = /^(nvidia-|cuda-|triton)/; torch = /^torch==/ }
dropped { next }
torch && !/\\$/ { print $0 " \\"; print "    --hash=" cpu; next }
{ print }
