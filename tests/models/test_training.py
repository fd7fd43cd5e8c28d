"""The model inside transformers' training machinery."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

from zoo.models import weights_hash


@pytest.fixture
def batch(sentences):
    labels = torch.tensor([[7, 8, 9, 10, 1], [11, 12, 1, -100, -100]])
    return {"input_ids": sentences["input_ids"], "attention_mask": sentences["attention_mask"], "labels": labels}


def test_labels_are_taught_from_their_left_neighbours(make_model, batch):
    model = make_model()
    shifted = torch.tensor([[0, 7, 8, 9, 10], [0, 11, 12, 1, 0]])
    with torch.no_grad():
        taught = model(**batch)
        given = model(batch["input_ids"], batch["attention_mask"], decoder_input_ids=shifted)
    assert model.prepare_decoder_input_ids_from_labels(batch["labels"]).tolist() == shifted.tolist()
    torch.testing.assert_close(taught.logits, given.logits)


def test_the_loss_is_the_mean_over_real_labels(make_model, batch):
    output = make_model()(**batch)
    logits = output.logits.detach().log_softmax(-1)
    real = [(b, t, int(y)) for b, row in enumerate(batch["labels"]) for t, y in enumerate(row) if y != -100]
    expected = -sum(logits[place] for place in real) / len(real)
    assert len(real) == 8
    torch.testing.assert_close(output.loss.detach(), expected)


def test_the_loss_of_an_accumulated_batch_is_the_sum_over_its_items(make_model, batch):
    model = make_model()
    whole = model(**batch).loss.detach()
    part = model(**batch, num_items_in_batch=torch.tensor(32)).loss.detach()
    torch.testing.assert_close(part, whole * 8 / 32)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {name: item[index] for name, item in self.batch.items()}


def test_seq2seq_trainer_trains_evaluates_and_generates(make_model, batch, tmp_path):
    model = make_model(dropout=0.1)
    before = weights_hash(model)
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=2,
            predict_with_generate=True,
            generation_max_length=6,
            learning_rate=1e-2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=Pairs(batch),
        eval_dataset=Pairs(batch),
    )
    outcome = trainer.train()
    assert outcome.global_step == 1
    assert outcome.training_loss > 0
    assert weights_hash(model) != before
    predicted = trainer.predict(Pairs(batch))
    assert predicted.predictions.shape[0] == 2
    assert predicted.metrics["test_loss"] > 0


def test_a_model_learns_to_copy(make_model):
    """The whole path from embeddings to gradients can fit something that needs source, order and target."""
    torch.manual_seed(0)
    model = make_model("zoo-positional/sinusoidal", d_model=32, encoder={"layers": 1}, decoder={"layers": 1}).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        tokens = torch.randint(4, 10, (32, 4))
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2  # chance is log(6) = 1.8


def test_dropout_acts_in_training_only(make_model, batch):
    model = make_model(dropout=0.5)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**batch).logits)
        model.train()
        assert not torch.equal(model(**batch).logits, model(**batch).logits)


def test_attention_dropout_acts_in_training_only(make_model, batch):
    model = make_model(attention_dropout=0.5)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**batch).logits)
        model.train()
        assert not torch.equal(model(**batch).logits, model(**batch).logits)


def test_embeddings_are_scaled_by_the_root_of_the_width(make_model, batch):
    captured = {}

    def embedded(model):
        states = model.get_encoder()(batch["input_ids"], output_hidden_states=True).hidden_states
        return states[0]

    with torch.no_grad():
        scaled = embedded(make_model("zoo-positional/none", scale_embeddings=True))
        plain = embedded(make_model("zoo-positional/none", scale_embeddings=False))
    captured["ratio"] = scaled / plain
    torch.testing.assert_close(captured["ratio"], torch.full_like(scaled, 32**0.5))


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
@pytest.mark.parametrize("size", [60, 40])
def test_resizing_the_vocabulary_keeps_the_logits_of_kept_tokens(make_model, tie, size, tmp_path):
    model = make_model(tie_embeddings=tie)
    source, target = torch.tensor([[5, 6, 7]]), torch.tensor([[0, 8, 9]])
    kept = min(size, 53)
    with torch.no_grad():
        before = model(source, decoder_input_ids=target).logits
        model.resize_token_embeddings(size)
        after = model(source, decoder_input_ids=target).logits
    assert after.shape[-1] == size == model.config.vocab_size
    torch.testing.assert_close(after[..., :kept], before[..., :kept])
    output, wanted = model.lm_head.weight, {"all": model.encoder, "decoder": model.decoder}
    if tie in wanted:
        assert output is wanted[tie].embed_tokens.weight
    # A resized model is a model: it trains on its new ids, and comes back from disk.
    model(source, labels=torch.tensor([[size - 1]])).loss.backward()
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert weights_hash(again) == weights_hash(model)


def test_a_weight_per_parameter_is_updated_once_where_matrices_are_tied(make_model, batch):
    model = make_model(tie_embeddings="all")
    names = [name for name, _ in model.named_parameters()]
    assert sum("embed_tokens" in name or "lm_head" in name for name in names) == 1
    model(**batch).loss.backward()
    logits = model(**batch).logits
    torch.testing.assert_close(F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten()), model(**batch).loss)


def test_mixed_precision_trains_every_scheme(make_model, position, batch):
    model = make_model(position).train()
    exact = model(**batch).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**batch).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=0.05)
    assert all(item.grad.isfinite().all() for item in model.parameters())


@torch.no_grad()
def test_mixed_precision_generates_with_every_scheme(make_model, position, batch):
    model = make_model(position)
    source = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model.generate(**source, max_new_tokens=4, min_new_tokens=4, num_beams=2, do_sample=False)
    assert output.shape == (2, 5)
