"""Notes: what they say of protocols, images, labels, seeds and teachers."""

from dataclasses import replace

from samples import WHOLE, A, B, student, table

from scdd.report.notes import notes


def test_protocols_of_equal_training_share_a_note():
    students = [student(), student(protocol="code"), replace(student(protocol="dc"), epochs=1000)]
    said = notes(table(*students), students, {})
    assert said[0].startswith("Protocols paper, code, student r18, 300 epochs on the method's")
    assert said[1].startswith("Protocol dc, student r18, 1000 epochs")


def test_students_of_one_protocol_share_a_note():
    students = [student(), student(arch="r50"), replace(student(ipc=10), epochs=200)]
    assert notes(table(*students), students, {})[0].startswith(
        "Protocol paper, students r18 and r50, 200 to 300 epochs"
    )


def test_notes_name_what_the_numbers_depend_on():
    students = [student(A, 1, seed) for seed in (0, 1, 2)]
    students += [student(B, 1, 0), student(WHOLE, None, 0, protocol="full")]
    said = "\n".join(notes(table(*students), students, {"SC-DD": 96.44}))
    for part in (
        "Protocol paper, student r18, 300 epochs",
        "Whole data: protocol full, student r18, 300 epochs on the 1437 real training images",
        "after the last epoch",
        "SC-DD: images of method scdd, soft labels of the scdd teacher.",
        "Random: images of method random, hard labels.",
        "(sample, n − 1) over n = 1 to 3 students' seeds (0, 1, 2)",
        "SC-DD 96.4 %",
    ):
        assert part in said
