"""segmentation_models.pytorch's DeepLabV3+ on the crops, schedule and ImageNet weights of a trial; its label maps.

    python -m bench.perf.smp OUT [--set FIELD=VALUE] [--seed 0]
    python -m bench.score OUT/val --data-root ROOT --split val --label "SMP DeepLabV3+" --seed 0 --out runs/smp

The encoder is timm's tf_efficientnet_lite0 with the weights of `model.weights: imagenet`; before training, the features
of both encoders on one image have to be equal. Decoder and head are those of SMP as they come. Everything else is that
of the trial with these settings: crops by position of the stream, batch, learning rate by step, weight decay that
spares normalisation and biases, momentum of batch normalisation, cross-entropy. The label maps are those of the last
step, each at its label's own size; `eval.keep_checkpoint: last` makes a trial comparable.

It needs the extra `peers`. Settings of the trial that have no counterpart here are refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from bench.core import EXIT_OK, UsageError, command, prepare_process, start
from bench.data import Dataset, load, pipeline
from bench.plan import default_precision, single
from bench.spec import TrialSpec

BACKBONE = "efficientnetlite_b0"
PEER = "tf_efficientnet_lite0"
NEAR = 1e-4
"""Largest difference of the features of both encoders, relative to the largest feature."""
MULTIPLE = 32
"""Sides of images that SMP's encoders take."""
_BEHIND = ("_conv_head.", "_bn1.", "_fc.")
"""Modules of the ImageNet model behind the last stage, which SMP's encoder does not have."""
_NEUTRAL = {
    "train": ("freeze", "smaller_crops", "ema", "backbone_rate", "wrapper", "init_from", "until"),
    "loss": ("params", "calibrated"),
    "model": ("auxiliary_weight", "skip_strides"),
    "data": ("pixel_weights",),
}


def peers() -> tuple[Any, Any]:
    """Return the modules torch and segmentation_models_pytorch.

    Raises:
        UsageError: they are not installed.
    """
    try:
        import segmentation_models_pytorch as smp
        import torch
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; pip install -e '.[peers]'") from None
    return torch, smp


def check(spec: TrialSpec) -> None:
    """Refuse settings that the other side does not have.

    Raises:
        UsageError: names the first one.
    """
    if (spec.model.backbone, spec.model.weights) != (BACKBONE, "imagenet"):
        raise UsageError(f"--set: the other side has model.backbone={BACKBONE} and model.weights=imagenet only")
    if (spec.loss.name, spec.train.optimizer) != ("cross_entropy", "adamw"):
        raise UsageError("--set: the other side has loss.name=cross_entropy and train.optimizer=adamw only")
    for section, names in _NEUTRAL.items():
        given, usual = (getattr(one, section) for one in (spec, TrialSpec()))
        for name in names:
            if getattr(given, name) != getattr(usual, name):
                raise UsageError(f"--set {section}.{name}: the other side has no such setting; leave it out")


def peer_model(spec: TrialSpec, classes: int) -> Any:
    """Return SMP's DeepLabV3+ at the trial's output stride, its encoder with the ImageNet weights of the package.

    Raises:
        UsageError: SMP or the weights are not installed, or the layers of both are in another order.
    """
    torch, smp = peers()
    torch.manual_seed(spec.seed)
    stride = spec.model.output_stride
    model = smp.DeepLabV3Plus(f"tu-{PEER}", encoder_weights=None, encoder_output_stride=stride, classes=classes)
    fill(model.encoder)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1 - spec.model.momentum
    return model


def fill(encoder: Any) -> None:
    """Put the ImageNet weights of `model.weights: imagenet` into an encoder of SMP, in place.

    Both list their arrays in the order of the calls.

    Raises:
        UsageError: the weights are not installed, or an array has another shape.
    """
    from models.encoder import torch_state
    from models.encoder.weights import _package_file

    torch, _ = peers()
    try:
        given = torch_state.read(_package_file(BACKBONE))
    except ValueError as error:
        raise UsageError(str(error)) from None
    arrays = {name: array for name, array in _counted_out(given).items() if not name.startswith(_BEHIND)}
    own = _counted_out(encoder.state_dict())
    if [tuple(tensor.shape) for tensor in own.values()] != [array.shape for array in arrays.values()]:
        raise UsageError(f"the layers of timm's {PEER} are not those of the weights; install another version of timm")
    for tensor, array in zip(own.values(), arrays.values(), strict=True):
        tensor.copy_(torch.from_numpy(array))


def _counted_out(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict without the counters of batch normalisation."""
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def encoder_difference() -> float:
    """Return the largest difference of the features of both encoders at four strides, relative to their largest."""
    import keras

    import models
    from models.encoder.pyramid import build_backbone, feature_maps
    from models.encoder.weights import load as filled

    torch, smp = peers()
    encoder = smp.encoders.get_encoder(f"tu-{PEER}", weights=None, output_stride=32)
    fill(encoder)
    backbone = build_backbone(row := models.row_of(BACKBONE))
    filled(backbone, BACKBONE, "imagenet")
    outputs = [*feature_maps(backbone, row, (4, 8, 16)), backbone.get_layer("block7a_project_bn").output]
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
    ours = keras.Model(backbone.input, outputs)((image - 127) / 128)
    encoder.eval()
    with torch.no_grad():
        theirs = [found.numpy().transpose(0, 2, 3, 1) for found in encoder(tensor(torch, image))[-4:]]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(map(np.asarray, ours), theirs, strict=True))


def tensor(torch: Any, images: np.ndarray) -> Any:
    """Return images (B, H, W, 3) in 0..255 as the encoder was trained on them, float32 (B, 3, H, W)."""
    return torch.from_numpy((images.astype("float32") - 127) / 128).permute(0, 3, 1, 2).contiguous()


def train(model: Any, spec: TrialSpec, crops: pipeline.Crops) -> Iterator[tuple[int, float]]:
    """Train for the steps of a spec; yield the steps that are done and the mean loss of each epoch."""
    from bench.trial import optimizers  # imports TensorFlow

    torch, _ = peers()
    spared, decayed = ([p for p in model.parameters() if (p.ndim > 1) == matrix] for matrix in (False, True))
    groups = [{"params": decayed, "weight_decay": spec.train.weight_decay}, {"params": spared, "weight_decay": 0.0}]
    optimizer, rate = torch.optim.AdamW(groups, eps=1e-7), optimizers.learning_rate(spec.train)  # Keras's epsilon
    batch, losses = spec.train.batch_size, []
    model.train()
    for step in range(spec.train.steps):
        images, labels = map(np.stack, zip(*(crops[step * batch + i] for i in range(batch)), strict=True))
        for group in optimizer.param_groups:
            group["lr"] = float(rate(step))
        logits, truth = model(tensor(torch, images)), torch.from_numpy(labels.astype("int64"))
        loss = torch.nn.functional.cross_entropy(logits, truth, ignore_index=pipeline.IGNORE_INDEX)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if (step + 1) % spec.train.steps_per_epoch == 0:
            yield step + 1, float(np.mean(losses))
            losses.clear()


def label_map(model: Any, image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the label map uint8 of an image uint8 (H, W, 3) at the size `shape` of its label."""
    torch, _ = peers()
    height, width = image.shape[:2]
    sides = tuple(-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
    padded = pipeline.padded(image, sides, pipeline.mean_color(image))
    model.eval()
    with torch.no_grad():
        logits = model(tensor(torch, padded[None]))[:, :, :height, :width]
        logits = torch.nn.functional.interpolate(logits, shape, mode="bilinear", align_corners=False)
    return logits[0].argmax(0).numpy().astype(np.uint8)


def write_label_maps(model: Any, spec: TrialSpec, dataset: Dataset, out: Path) -> None:
    """Write the label maps of all splits that are not trained on, as OUT/SPLIT/KEY.png."""
    for name in dataset.splits.keys() - set(spec.data.trained):
        split = dataset.splits[name]
        for index, key in enumerate(split.keys):
            image, label = split.read(index)
            path = out / name / f"{key}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label_map(model, pipeline.prepared(image, spec.data), label.shape)).save(path)


@command
def main(
    out: Annotated[Path, typer.Argument(help="Folder for the label maps; they lie in OUT/val and OUT/test.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="field=value, any field of the spec.")] = None,
    preset: Annotated[str, typer.Option(help="smoke, quick, study or full.")] = "study",
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> int:
    """Train the other side, and write its label maps. Exit status: 0 done, 2 usage."""
    theirs = ("weights=imagenet", "output_stride=16", "skip_strides=[]")
    settings = [f"model.backbone={BACKBONE}", *(f"model.{text}" for text in theirs), *(set_ or [])]
    spec = single(settings, preset, default_precision(0, [])).model_copy(update={"seed": seed})
    check(spec)
    peers()
    prepare_process()
    dataset = load(spec.data)
    model = peer_model(spec, len(dataset.class_names))
    if (difference := encoder_difference()) > NEAR:
        raise UsageError(f"the features of both encoders differ by {difference:.2g} of the largest, not below {NEAR:g}")
    print(f"features of both encoders differ by {difference:.2g} of the largest")
    since = time.process_time()
    for step, loss in train(model, spec, pipeline.Crops(dataset.training(spec.data.trained), spec.data, seed)):
        print(f"step {step}  loss {loss:.4f}  CPU {time.process_time() - since:.0f} s", flush=True)
    write_label_maps(model, spec, dataset, out)
    print(f"label maps: {out}")
    return EXIT_OK


if __name__ == "__main__":
    start(main)
