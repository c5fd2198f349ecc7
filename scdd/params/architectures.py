"""What networks are made of: the plan counts it without torch, scdd.networks builds it."""

# whether blocks are bottlenecks, and how many of them each of the four stages has
RESNETS: dict[str, tuple[bool, tuple[int, int, int, int]]] = {
    "resnet10": (False, (1, 1, 1, 1)),
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}
# of a ResNet: kernel, stride and padding of the first convolution
STEMS = {"imagenet": (7, 2, 3), "small": (3, 1, 1), "small-pad2": (3, 1, 2)}

# growth, and the layers of each of the four blocks. densenet21 is for experiments on a CPU, as
# resnet10 is; the others are published
DENSENETS: dict[str, tuple[int, tuple[int, int, int, int]]] = {
    "densenet21": (32, (2, 2, 2, 2)),
    "densenet121": (32, (6, 12, 24, 16)),
    "densenet161": (48, (6, 12, 36, 24)),
    "densenet169": (32, (6, 12, 32, 32)),
    "densenet201": (32, (6, 12, 48, 32)),
}
DENSE_BOTTLENECK = 4  # channels between the two convolutions of a layer, times its growth

# channels of the first convolution, the three stages and the last one; and the stages' blocks
SHUFFLENETS: dict[str, tuple[int, int, int, int, int]] = {
    "shufflenet_v2_x0_5": (24, 48, 96, 192, 1024),
    "shufflenet_v2_x1_0": (24, 116, 232, 464, 1024),
    "shufflenet_v2_x1_5": (24, 176, 352, 704, 1024),
    "shufflenet_v2_x2_0": (24, 244, 488, 976, 2048),
}
SHUFFLE_BLOCKS = (4, 8, 4)

# expansion, channels, blocks and first stride of each stage
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
MOBILENET_ENDS = (32, 1280)  # channels of its first and its last convolution

# expansion, kernel, first stride, channels before and in it, and blocks of each stage
EFFICIENTNET_B0 = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)

# blocks of each of the three stages, and how much wider they are than a ResNet's of CIFAR
WIDE_RESNETS = {"wrn-16-2": (2, 2)}

CONVNETS = {  # blocks, and whether they have BatchNorm in place of instance norm
    "convnet1": (1, False),
    "convnet1-bn": (1, True),
    "convnet2": (2, False),
    "convnet2-bn": (2, True),
    "convnet3": (3, False),
    "convnet3-bn": (3, True),
    "convnet4": (4, False),
    "convnet4-bn": (4, True),
}

# those that have a width
SCALED = frozenset(
    {*RESNETS, *DENSENETS, *SHUFFLENETS, "mobilenet_v2", "efficientnet_b0", *WIDE_RESNETS}
    | {*CONVNETS}
)


def rounded(channels: float, step: int = 8) -> int:
    """The nearest multiple of `step`, at least `step` and nine tenths of the channels: how
    MobileNets and EfficientNets have any width."""
    near = max(step, int(channels + step / 2) // step * step)
    return near + step if near < 0.9 * channels else near


def halves(channels: float) -> int:
    """The nearest even number, at least 2: a ShuffleNet's blocks have two halves."""
    return 2 * max(1, round(channels / 2))
