"""Waiting for the memory of GPUs, told by a program in the place of nvidia-smi."""

import pytest

from bench.execution import gpu_memory


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """nvidia-smi answers with the next line of a list each time, with the last for ever; its calls are kept."""
    script = tmp_path / "nvidia-smi"

    def answers(*lines):
        (tmp_path / "answers").write_text("\n".join(lines) + "\n")
        script.write_text(
            f'#!/bin/sh\ncd {tmp_path}\necho "$1" >> calls\nhead -1 answers | tr ";" "\\n"\n'
            "if [ $(wc -l < answers) -gt 1 ]; then sed -i 1d answers; fi\n"
        )
        script.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    return answers


def test_memory_that_an_earlier_process_leaves_is_waited_for(tool, tmp_path):
    tool("0, 70000, 80000;1, 10, 80000", "0, 70000, 80000;1, 10, 80000", "0, 500, 80000;1, 10, 80000")
    gpu_memory.await_memory(str(tmp_path / "log.txt"), poll=0.0)
    assert (tmp_path / "calls").read_text().splitlines() == ["--id=0,1"] * 3
    assert not (tmp_path / "log.txt").exists()


def test_memory_that_stays_taken_is_named_in_the_log(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_memory, "WAIT_SECONDS", 0.1)
    tool("0, 10, 80000;1, 70000, 80000")
    gpu_memory.await_memory(str(tmp_path / "log.txt"), poll=0.05)
    assert "still holds memory of GPU 1 (70000 of 80000 MiB)" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("answer", ["0, [N/A], [N/A]", "No devices were found"])
def test_a_gpu_that_tells_nothing_is_not_waited_for(tool, tmp_path, answer):
    tool(answer)
    gpu_memory.await_memory(str(tmp_path / "log.txt"))
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_without_the_tool_or_without_gpus_nothing_is_asked(tool, tmp_path, monkeypatch):
    tool("0, 70000, 80000")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    gpu_memory.await_memory(str(tmp_path / "log.txt"))
    assert not (tmp_path / "calls").exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("PATH", "/nowhere")
    gpu_memory.await_memory(str(tmp_path / "log.txt"))
