# SPDX-License-Identifier: Apache-2.0
"""Writes the tiny BERT repositories, laid out as Hugging Face lays them out, with the framework's own answers.

tiny-bert            BertModel; vocabulary with [CLS] 101, [SEP] 102 and `hello` 7592, as bert-base-uncased numbers them
tiny-bert-mlm        BertForMaskedLM: `bert.` prefix, tied decoder
tiny-bert-cls        BertForSequenceClassification, three labels
tiny-bert-oldnames   a pre-training checkpoint with LayerNorm.gamma/beta, an f16 file with all heads, as the oldest hub files
tiny-sbert           sentence-transformers layout, mean pooling + normalise
tiny-sbert-cls       the same weights, [CLS] pooling, no normalise
tiny-sbert-max       the same weights, max pooling + normalise

Every weight, bias and norm is random (zero biases hide bugs). Each folder has golden.json; see README.md.
"""
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from words import SENTENCES, SINGLE, SUFFIXES, WORDS, texts

OUT = pathlib.Path(__file__).resolve().parent.parent
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}


def pieces():
    """Every word piece once, in a fixed order."""
    return list(dict.fromkeys(SINGLE + ["##" + c for c in SINGLE if c.isalnum()] + ["##" + s for s in SUFFIXES]
                              + [w.lower() for w in WORDS]))


def real_ids_vocabulary():
    """bert-base-uncased's numbers for the words the quick start uses; its unused slots stay unused."""
    fixed = {"hello": 7592, "world": 2088, "the": 1996}
    vocabulary = dict(SPECIAL)
    taken = set(SPECIAL.values()) | set(fixed.values())
    free = (i for i in range(999, 7600) if i not in taken)
    for piece in pieces():
        vocabulary[piece] = fixed.get(piece, None) or next(free)
    used = set(vocabulary.values())
    for number, i in enumerate(i for i in range(7600) if i not in used):
        vocabulary[f"[unused{number}]"] = i
    return dict(sorted(vocabulary.items(), key=lambda item: item[1]))


def small_vocabulary():
    return {piece: i for i, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces())}


def make_tokenizer(vocabulary):
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(sorted(SPECIAL, key=vocabulary.get))
    return tokenizer


def write_json(path, content, **options):
    path.write_text(json.dumps(content, **options) + "\n")


def write_tokenizer(folder, vocabulary, max_length):
    tokenizer = make_tokenizer(vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary))
    write_json(folder / "tokenizer_config.json", {
        "clean_up_tokenization_spaces": True, "cls_token": "[CLS]", "do_lower_case": True, "mask_token": "[MASK]",
        "model_max_length": max_length, "pad_token": "[PAD]", "sep_token": "[SEP]", "strip_accents": None,
        "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"}, indent=2)
    write_json(folder / "special_tokens_map.json", {
        "cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]", "sep_token": "[SEP]",
        "unk_token": "[UNK]"}, indent=2)


def tokenizer_golden(folder):
    """What the repository's tokenizer.json makes of every text: single, pairs, truncated."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    automatic = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    single = []
    for text in texts():
        encoded = tokenizer.encode(text)
        assert automatic(text)["input_ids"] == encoded.ids, text  # two ways into the framework, one answer
        single.append({"text": text, "ids": encoded.ids})
    pairs = []
    for first, second in [("hello world", "how are you?"), ("", "hello"), ("The cat", ""), ("中国 hello", "naïve 🙂 test")]:
        encoded = tokenizer.encode(first, second)
        pairs.append({"text": first, "pair": second, "ids": encoded.ids, "type_ids": encoded.type_ids})
    truncated = []
    tokenizer.enable_truncation(max_length=8)
    for text in SENTENCES:
        truncated.append({"text": text, "max_length": 8, "ids": tokenizer.encode(text).ids})
    # ASCII escapes keep control characters readable; one case per line keeps diffs small.
    lines = lambda cases: "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"
    (folder / "tokenizer_golden.json").write_text(
        "{\"single\": %s,\n\"pairs\": %s,\n\"truncated\": %s}\n" % (lines(single), lines(pairs), lines(truncated)))


def randomise(model, seed):
    """Weights large enough that every part of the graph shows in the answer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "LayerNorm.weight" in name:
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * noise)
            elif "embeddings" in name:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(noise * (1.5 / parameter.shape[-1] ** 0.5))
    return model.eval()


def config(vocabulary, **changes):
    values = dict(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                  intermediate_size=48, max_position_embeddings=64, type_vocab_size=2, hidden_act="gelu",
                  hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-12,
                  pad_token_id=vocabulary["[PAD]"], attn_implementation="eager")
    return transformers.BertConfig(**{**values, **changes})


def hub_config(model_config, architecture):
    """config.json with the keys a hub file has."""
    keys = ["attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
            "intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads",
            "num_hidden_layers", "pad_token_id", "type_vocab_size", "vocab_size"]
    content = {"architectures": [architecture], "model_type": "bert", "position_embedding_type": "absolute",
               **{key: getattr(model_config, key) for key in keys}}
    if architecture == "BertForSequenceClassification":
        content["id2label"] = {str(i): label for i, label in model_config.id2label.items()}
        content["label2id"] = model_config.label2id
    return dict(sorted(content.items()))


def inputs_for(vocabulary, max_length, seed):
    """Named cases: rows of ids with their masks and token types."""
    rng = np.random.default_rng(seed)
    cls, sep, pad = (vocabulary[t] for t in ("[CLS]", "[SEP]", "[PAD]"))
    words = [vocabulary[w] for w in dict.fromkeys(WORDS)]
    row = lambda n: [cls] + [int(i) for i in rng.choice(words, n - 2)] + [sep]
    hello = [cls, vocabulary["hello"], sep]
    padded = [row(9), row(5) + [pad] * 4, row(7) + [pad] * 2]
    right_mask = [[1] * 9, [1] * 5 + [0] * 4, [1] * 7 + [0] * 2]
    left = [r[::-1][:z] + r[: 9 - z] for r, z in zip(padded, (0, 4, 2))]
    left_mask = [m[::-1] for m in right_mask]
    halves = lambda rows: [[0] * (len(r) // 2) + [1] * (len(r) - len(r) // 2) for r in rows]
    zeros = lambda rows: [[0] * len(r) for r in rows]
    ones = lambda rows: [[1] * len(r) for r in rows]
    long_row, pair = [row(max_length)], [row(6), row(6)]
    return [
        ("hello", [hello], ones([hello]), zeros([hello])),
        ("one_row", *(lambda r: (r, ones(r), zeros(r)))([row(11)])),
        ("three_rows_right_padding", padded, right_mask, zeros(padded)),
        ("three_rows_left_padding", left, left_mask, zeros(left)),
        ("token_types", *(lambda r: (r, ones(r), halves(r)))([row(8), row(8)])),
        ("length_one", [[vocabulary["hello"]]], [[1]], [[0]]),
        ("mask_with_holes", [row(8)], [[1, 0, 1, 1, 0, 1, 1, 1]], [[0] * 8]),
        ("fully_masked_row", pair, [[1] * 6, [0] * 6], zeros(pair)),
        ("max_length", long_row, ones(long_row), zeros(long_row)),
    ]


def rounded(tensor):
    """Shortest text that reads back as the same float32."""
    def walk(value):
        return [walk(v) for v in value] if isinstance(value, list) else float(str(np.float32(value)))
    return walk(tensor.detach().to(torch.float32).numpy().tolist())


def model_golden(folder, model, vocabulary, names, mlm=None):
    cases = []
    for name, ids, mask, types in inputs_for(vocabulary, model.config.max_position_embeddings, seed=7):
        if folder.name != "tiny-bert" and name in ("one_row", "mask_with_holes", "max_length") and "logits" in names:
            continue
        with torch.no_grad():
            answer = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask),
                           token_type_ids=torch.tensor(types))
        case = {"name": name, "inputs": {"input_ids": ids, "attention_mask": mask, "token_type_ids": types},
                "outputs": {n: rounded(answer[n]) for n in names}}
        if mlm and name == "hello":
            case["outputs"]["logits"] = rounded(mlm(torch.tensor(ids), torch.tensor(mask)).prediction_logits)
        if name == "fully_masked_row":
            case["finite_only_rows"] = [1]
        cases.append(case)
    (folder / "golden.json").write_text(
        "{\"cases\": [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]}\n")


def repository(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_model(folder, model, architecture, tensors=None):
    tensors = tensors if tensors is not None else model.state_dict()
    keep = {k: v.contiguous().clone() for k, v in tensors.items() if "position_ids" not in k or k in OLD_BUFFERS}
    save_file(keep, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    write_json(folder / "config.json", hub_config(model.config, architecture), indent=2)


OLD_BUFFERS = {"bert.embeddings.position_ids"}


def tiny_bert():
    folder, vocabulary = repository("tiny-bert"), real_ids_vocabulary()
    model = randomise(transformers.BertModel(config(vocabulary, hidden_size=24, intermediate_size=40)), seed=11)
    write_model(folder, model, "BertModel")
    write_tokenizer(folder, vocabulary, 64)
    model_golden(folder, model, vocabulary, ["last_hidden_state", "pooler_output"])
    tokenizer_golden(folder)


def tiny_mlm():
    folder, vocabulary = repository("tiny-bert-mlm"), small_vocabulary()
    model = randomise(transformers.BertForMaskedLM(
        config(vocabulary, hidden_size=16, num_attention_heads=2, intermediate_size=20)), seed=12)
    # The decoder shares the embedding, so hub files leave it out.
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    write_model(folder, model, "BertForMaskedLM", {k: v for k, v in model.state_dict().items() if k not in tied})
    write_tokenizer(folder, vocabulary, 64)
    with torch.no_grad():
        cases = []
        for ids in ([[2, 200, 4, 300, 3]], [[2, 210, 220, 3], [2, 4, 3, 0]]):
            mask = [[int(i != 0) for i in row] for row in ids]
            answer = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))
            cases.append({"name": f"batch_{len(ids)}", "inputs": {"input_ids": ids, "attention_mask": mask},
                          "outputs": {"logits": rounded(answer.logits)}})
    (folder / "golden.json").write_text("{\"cases\": [\n" + ",\n".join(map(json.dumps, cases)) + "\n]}\n")


def tiny_cls():
    folder, vocabulary = repository("tiny-bert-cls"), small_vocabulary()
    labels = ["negative", "neutral", "positive"]
    model = randomise(transformers.BertForSequenceClassification(config(
        vocabulary, hidden_size=16, num_attention_heads=2, hidden_act="gelu_new", num_labels=3,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)})), seed=13)
    write_model(folder, model, "BertForSequenceClassification")
    write_tokenizer(folder, vocabulary, 64)
    model_golden(folder, model, vocabulary, ["logits"])


def tiny_oldnames():
    folder, vocabulary = repository("tiny-bert-oldnames"), small_vocabulary()
    model = randomise(transformers.BertForPreTraining(
        config(vocabulary, hidden_size=16, num_attention_heads=2, intermediate_size=20)), seed=14).half().float().eval()
    old = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("cls.predictions.decoder"):
            continue
        old[name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")] = (
            tensor.half() if tensor.is_floating_point() else tensor)
    old["bert.embeddings.position_ids"] = torch.arange(64).unsqueeze(0)
    write_model(folder, model, "BertForMaskedLM", old)
    write_tokenizer(folder, vocabulary, 64)
    model_golden(folder, model.bert, vocabulary, ["last_hidden_state", "pooler_output"], mlm=model)


def write_sentence_layout(folder, pooling, normalise, max_length):
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False}, indent=2)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if normalise else [])
    write_json(folder / "modules.json", [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)], indent=2)
    (folder / "1_Pooling").mkdir()
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "sqrt": "mean_sqrt_len_tokens"}
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 32,
        **{f"pooling_mode_{name}": mode == pooling for mode, name in modes.items()}}, indent=2)
    write_json(folder / "config_sentence_transformers.json", {
        "__version__": {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}}, indent=2)


def tiny_sbert():
    vocabulary = small_vocabulary()
    model = randomise(transformers.BertModel(config(vocabulary, num_hidden_layers=3), add_pooling_layer=True), seed=15)
    for name, pooling, normalise in (("tiny-sbert", "mean", True), ("tiny-sbert-cls", "cls", False),
                                     ("tiny-sbert-max", "max", True)):
        folder = repository(name)
        write_model(folder, model, "BertModel")
        write_tokenizer(folder, vocabulary, 64)
        # As all-MiniLM-L6-v2: tokenizer.json itself truncates and pads to another length than the pipeline.
        content = json.loads((folder / "tokenizer.json").read_text())
        content["truncation"] = {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
        content["padding"] = {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": None,
                              "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
        (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
        write_sentence_layout(folder, pooling, normalise, max_length=16)
        sentence_golden(folder, model, name == "tiny-sbert")


def sentence_golden(folder, model, with_tokens):
    pipeline = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    cases = []
    for text in SENTENCES:
        tokens = pipeline.tokenize([text])
        vector = torch.from_numpy(pipeline.encode([text], batch_size=1)[0])
        cases.append({"text": text, "input_ids": tokens["input_ids"][0].tolist(), "embedding": rounded(vector)})
    together = pipeline.encode(SENTENCES, batch_size=len(SENTENCES))
    worst = max(float(np.abs(together[i] - np.float32(c["embedding"])).max()) for i, c in enumerate(cases))
    assert worst < 5e-6, worst  # one by one or together, the framework agrees with itself
    (folder / "golden.json").write_text(
        "{\"max_seq_length\": %d, \"sentences\": [\n%s\n]}\n" % (
            pipeline.max_seq_length, ",\n".join(json.dumps(c) for c in cases)))
    if with_tokens:
        tokenizer_golden(folder)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tiny_bert()
    tiny_mlm()
    tiny_cls()
    tiny_oldnames()
    tiny_sbert()


if __name__ == "__main__":
    main()
