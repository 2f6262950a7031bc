# Splits uv's lock of all that training needs (see `make lock`): what a training job installs, which was locked
# before and comes first, is left out; PyTorch and its CUDA packages go to requirements/torch.txt, the rest to the output.
FNR == NR { if (/^[a-z]/) known[$1]; next }
FNR == 1 { print "# What training needs on a developer's machine, with requirements/job.txt and one of torch*.txt." }
/^[a-z]/ { torch = /^(torch|triton|nvidia-|cuda-)/; left_out = $1 in known }
left_out { next }
torch { print > "requirements/torch.txt"; next }
{ print }
