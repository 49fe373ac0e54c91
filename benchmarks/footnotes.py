"""What ``RESULTS.md`` says about its tables, in words; :mod:`benchmarks.page` puts them there."""

from __future__ import annotations

INTRODUCTION = (
    "Written by `python -m benchmarks --render` from `results.json`; how to run it and what each "
    "figure means is in [README.md](README.md)."
)
ABOUT_SEQUENCES = (
    "Time is that of the work (interpreter and imports not counted), the median of alternating "
    "runs; peak is that of the whole process."
)
ABOUT_SCALE = (
    "The peak is that of the whole process, the loaded arrays included. Users, items and "
    "categories grow with the rows, up to 1 M users, 4 M items and 9,439 categories."
)
STEADY = (
    "Samples per second in steady state: the first epoch (ours) or the first step (torch-rechub, "
    "of which only some steps are run) is left out; the time to the end of the first step is in "
    "the column of its name, ours / theirs, model building included. Our kernels had been compiled "
    "before: the first training of an installation takes some ten seconds longer. Spinning: with "
    "`GOMP_SPINCOUNT=300000`, which is libgomp's own and so torch-rechub's in every line."
)
MATMUL_SHARE = (
    "Matmul share: FLOPs of the matrix products that the network needs for a sample, forward and "
    "backward, without padding, times samples per second, over the best rate that `torch.matmul` "
    "reached in the same process and precision."
)
NEAREST = (
    "torch-rechub computes in float32 on padded histories. Of `best` it can express widths, "
    "dropout, batch size and learning rate; not product inputs, redrawn negatives, joint "
    "attention, averaged weights or another activation than Dice in the last MLP: its figure "
    "there is for the nearest network it has."
)
ABOUT_STEPS = (
    "The median of some steps of the first epoch. Two lines of a preset are the same log, the "
    "second with its items spread over a hundred times as many indices; the ratio is that of the "
    "steps. Waiting for data is the share of the time between the end of one step and the "
    "beginning of the next. The peak is that of the whole process."
)
ABOUT_BUSY = (
    "Samples per second of the second epoch on the log of `training_best`, float32, two threads. "
    "As it was: threads shared each operation, without lanes, and spun as long as libgomp "
    "pleases. A fair share is the quiet rate times the cores over all threads that want one."
)
ABOUT_SERVING = (
    "One thread of onnxruntime, float32, random weights; a history of 50 events unless said "
    "otherwise. The least time of all requests, and the median and 99th percentile of one run. "
    "Repeated rows are `din.onnx` with the history once for each candidate, and so is what "
    "torch-rechub exports of its DIN. Of `best` it has neither joint attention nor product inputs."
)
ABOUT_GPU = (
    "An epoch is that of the Electronics shape in bfloat16, validation not counted. The GPU's "
    "share is the time of its kernels over that of the epoch. Waits are how often the host waited "
    "for the GPU, from the first step to the last. torch-rechub ran some steps, in float32, on "
    "arrays of fewer users; its rate does not depend on their number. Dropout draws other random "
    "numbers on either device, so `best` cannot agree more closely."
)
ABOUT_LANGUAGES = (
    "One ranking by `rank.onnx` of the preset `best`, the file opened for it as in the example of "
    "`docs/serving.md`, whose JavaScript runs as it stands; the least of the repeats."
)
ABOUT_QUALITY = (
    "Every side is fitted on the same training events of the same log and ranks the same test "
    "samples; what it chooses, it chooses on validation: the weight of popularity beside its own "
    "score, a strength, a number of rounds or epochs. Means over the seeds. The logarithm of the "
    "popularity is added where the table says so."
)
ABOUT_GROWTH = (
    "The log begins with 70% of its rows, by time, and grows in ten days of 3% each; a row of the "
    "table is one. Test rows are those of that day's log, split by leave-one-out; the day's "
    "are those whose event came on that day. CPU is processor time of the training alone, over all "
    "threads. The warm chain began with the cold model of the day before the first."
)
ABOUT_ENGINES = (
    "All tables of the log by one engine, and the checks that would stop them (`checks`). The log "
    "itself, the engine's start and the hand-over of the log as Parquet come before. Peak and CPU "
    "are those of the process and all that it started, so of Spark the JVM's as well; cores are "
    "those that they were held to. Users are a hundredth of the rows, items a 25th, or twice the "
    "rows where one user has most events, so that there is something left to draw."
)
ABOUT_EMBEDDINGS = (
    "A step of two processes over gloo, 45,000 look-ups in each, ids as frequent as in a log where "
    "the logarithm of their rank is uniform. All: every process holds all rows, ids are gathered "
    "and gradients summed, as training does. Share: each holds every second row, ids, rows and "
    "gradients are exchanged; a prototype. Sent is what one process sends, by the size of what it "
    "hands over. Table and moments are what the memory of a process grew by: the weights, Adam's "
    "two moments, and what its steps need besides, which counts in small tables."
)
