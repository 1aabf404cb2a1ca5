#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The converter of the fall-back: convert.py INPUT OUT_FOLDER [--task TASK]. Writes OUT_FOLDER/model.onnx (or several files, for
models of several graphs).

INPUT is a TensorFlow SavedModel folder, a Keras file (.keras, .h5), a TFLite file, or a folder with a transformers checkpoint. Code
that a repository brings is never run. Needs the packages of tensorflow.lock or transformers.lock, and no network.
"""
import argparse
import json
import os
import pathlib
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TF_CPP_MIN_LOG_LEVEL="2",
                  CUDA_VISIBLE_DEVICES="", ORT_DISABLE_TELEMETRY="1")
OPSET = 18
# What a class in config.json's architectures is for; optimum does not tell by a folder.
TASKS = {"ForMaskedLM": "fill-mask", "ForSequenceClassification": "text-classification", "ForTokenClassification": "token-classification",
         "ForQuestionAnswering": "question-answering", "ForMultipleChoice": "multiple-choice", "ForImageClassification": "image-classification",
         "ForMaskedImageModeling": "masked-im", "ForSemanticSegmentation": "semantic-segmentation", "ForObjectDetection": "object-detection",
         "ForAudioClassification": "audio-classification", "ForCTC": "automatic-speech-recognition", "ForCausalLM": "text-generation",
         "LMHeadModel": "text-generation", "ForConditionalGeneration": "text2text-generation", "Model": "feature-extraction"}


def from_keras(source, out):
    import keras
    import tensorflow
    import tf2onnx
    model = keras.saving.load_model(source, compile=False, safe_mode=True)
    signature = [tensorflow.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in model.inputs]
    function = tensorflow.function(lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0]), input_signature=signature)
    tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET, output_path=str(out / "model.onnx"))


def from_tensorflow(kind, source, out):
    import runpy
    sys.argv = ["tf2onnx", kind, str(source), "--output", str(out / "model.onnx"), "--opset", str(OPSET)]
    runpy.run_module("tf2onnx.convert", run_name="__main__")


def task_of(source):
    names = json.loads((source / "config.json").read_text()).get("architectures") or []
    for suffix, task in TASKS.items():
        if names and names[0].endswith(suffix):
            return task
    sys.exit(f"{source}: what the model is for is not told by 'architectures' in config.json, {names}: axon convert --task says it")


def from_transformers(source, out, task):
    from optimum.exporters.onnx import main_export
    main_export(str(source), output=out, task=task or task_of(source), opset=OPSET, trust_remote_code=False, do_validation=False,
                local_files_only=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--task")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.input.name == "saved_model.pb":
        args.input = args.input.parent
    suffix = args.input.suffix.lower()
    if (args.input / "saved_model.pb").exists():
        from_tensorflow("--saved-model", args.input, args.out)
    elif suffix in (".keras", ".h5", ".hdf5"):
        from_keras(args.input, args.out)
    elif suffix == ".tflite":
        from_tensorflow("--tflite", args.input, args.out)
    elif suffix == ".pb":
        sys.exit(f"{args.input} is a frozen graph, which does not say what its inputs and outputs are: save it as a SavedModel")
    elif (args.input / "config.json").exists():
        from_transformers(args.input, args.out, args.task)
    else:
        sys.exit(f"{args.input} is no SavedModel, Keras, TFLite or transformers model")


if __name__ == "__main__":
    main()
