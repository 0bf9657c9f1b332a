"""Write the hand-compiled models into the zoo. Run python scripts/compile_programs.py."""

from benchmark.pretraining.compiled.programs import PROGRAMS
from benchmark.pretraining.saving import save_zoo_model


def main() -> None:
    """Compile every program and say where it is."""
    for name, program in PROGRAMS.items():
        compiled, edges, counterfactual_edges = program()
        model, tokenizer = compiled.compile()
        reference = {
            "task": name,
            "source": "by construction, after Lindner et al. 2023, arXiv 2301.05062",
            "definition": "edges whose removal, with zero in their place, changes an output",
            "counterfactual_edges": counterfactual_edges,
            "edges": edges,
        }
        facts = {"command": "python scripts/compile_programs.py"}
        print(save_zoo_model(model, tokenizer, name, None, facts, [name], 500, reference))


if __name__ == "__main__":
    main()
