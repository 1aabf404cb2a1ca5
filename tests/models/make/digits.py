# SPDX-License-Identifier: Apache-2.0
"""Writes tests/models/digits: an image classifier trained on scikit-learn's handwritten digits.

model.onnx         input `image` float32 [batch, 1, 8, 8] (pixels / 16, so 0..1) -> `logits` float32 [batch, 10]
model.safetensors  the same weights under PyTorch's state-dict names
model.pt           the same state dict as torch.save writes it (zip, format of torch >= 1.6)
config.json        class names, mean and scale, the layer list in words
test.json          the 360 test images (8x8 integers 0..16), their labels, and the framework's logits for the first 20
metrics.json       test accuracy, split, seed
"""
import json
import pathlib

import numpy as np
import onnx
import torch
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

OUT = pathlib.Path(__file__).resolve().parent.parent / "digits"
SEED = 20240602


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 24, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(24)
        self.hidden = nn.Linear(24 * 4, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, image):
        x = torch.relu(self.norm1(self.conv1(image)))
        x = nn.functional.max_pool2d(x, 2)
        x = torch.relu(self.norm2(self.conv2(x)))
        x = nn.functional.max_pool2d(x, 2)
        return self.output(torch.relu(self.hidden(x.flatten(1))))


def train(images, labels):
    torch.manual_seed(SEED)
    model = Digits()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    epochs, batch = 40, 64
    steps = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for start in range(0, len(images), batch):
            rows = order[start:start + batch]
            shift = torch.randint(-1, 2, (2,)).tolist()
            picture = torch.roll(images[rows], shift, dims=(2, 3)) if torch.rand(()) < 0.3 else images[rows]
            loss = nn.functional.cross_entropy(model(picture), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def to_onnx(model):
    """The graph written out by hand: torch's exporter is a moving target, these eleven nodes are not."""
    weights = {name: t.detach().numpy() for name, t in model.state_dict().items() if "num_batches" not in name}
    norm = lambda i: [f"norm{i}.weight", f"norm{i}.bias", f"norm{i}.running_mean", f"norm{i}.running_var"]
    nodes = []
    previous = "image"
    for i in (1, 2):
        nodes += [
            h.make_node("Conv", [previous, f"conv{i}.weight", f"conv{i}.bias"], [f"conv{i}"],
                        kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            h.make_node("BatchNormalization", [f"conv{i}", *norm(i)], [f"norm{i}"], epsilon=1e-5),
            h.make_node("Relu", [f"norm{i}"], [f"relu{i}"]),
            h.make_node("MaxPool", [f"relu{i}"], [f"pool{i}"], kernel_shape=[2, 2], strides=[2, 2])]
        previous = f"pool{i}"
    nodes += [
        h.make_node("Flatten", [previous], ["flat"], axis=1),
        h.make_node("Gemm", ["flat", "hidden.weight", "hidden.bias"], ["hidden"], transB=1),
        h.make_node("Relu", ["hidden"], ["hidden_relu"]),
        h.make_node("Gemm", ["hidden_relu", "output.weight", "output.bias"], ["logits"], transB=1)]
    graph = h.make_graph(
        nodes, "digits",
        [h.make_tensor_value_info("image", T.FLOAT, ["batch", 1, 8, 8])],
        [h.make_tensor_value_info("logits", T.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()])
    result = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8,
                          producer_name="mlos-fixtures", producer_version="1",
                          doc_string="Handwritten digits, 8x8 pixels; image = pixel / 16.")
    onnx.checker.check_model(result, full_check=True)
    return result


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(exist_ok=True)
    digits = load_digits()
    pixels, test_pixels, labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=0.2, random_state=SEED, stratify=digits.target)
    tensor = lambda p: torch.from_numpy((p / 16).astype(np.float32)).unsqueeze(1)
    model = train(tensor(pixels), torch.from_numpy(labels))
    with torch.no_grad():
        logits = model(tensor(test_pixels))
    accuracy = float((logits.argmax(1).numpy() == test_labels).mean())
    print(f"digits: test accuracy {accuracy:.4f} on {len(test_labels)} images")
    assert accuracy >= 0.97

    (OUT / "model.onnx").write_bytes(to_onnx(model).SerializeToString(deterministic=True))
    state = {name: t.contiguous() for name, t in model.state_dict().items()}
    save_file(state, str(OUT / "model.safetensors"), metadata={"format": "pt"})
    (OUT / "model.safetensors").chmod(0o644)
    torch.save(state, str(OUT / "model.pt"))
    (OUT / "config.json").write_text(json.dumps({
        "model_type": "mlos-digits", "architectures": ["Digits"],
        "image_size": 8, "num_channels": 1, "rescale_factor": 1 / 16,
        "id2label": {str(i): str(i) for i in range(10)},
        "layers": ["conv1 3x3 pad 1", "norm1 eps 1e-5", "relu", "max pool 2", "conv2 3x3 pad 1", "norm2 eps 1e-5",
                   "relu", "max pool 2", "flatten", "hidden", "relu", "output"]}, indent=2) + "\n")
    rows = lambda items: "[\n" + ",\n".join(json.dumps(i, separators=(",", ":")) for i in items) + "\n]"
    golden = [[float(str(v)) for v in row] for row in logits[:20].numpy()]
    (OUT / "test.json").write_text('{"images": %s,\n"labels": %s,\n"predicted": %s,\n"logits": %s}\n' % (
        rows(test_pixels.astype(int).tolist()), json.dumps(test_labels.tolist()),
        json.dumps(logits.argmax(1).tolist()), rows(golden)))
    (OUT / "metrics.json").write_text(json.dumps({
        "test_accuracy": round(accuracy, 4), "test_images": len(test_labels), "train_images": len(labels),
        "seed": SEED, "split": "sklearn train_test_split(test_size=0.2, stratify=target, random_state=seed)"},
        indent=2) + "\n")


if __name__ == "__main__":
    main()
