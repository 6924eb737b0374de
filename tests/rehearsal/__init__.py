"""The world of the scale `rehearsal`: the paper's data sets and models, as small as can be and made on the spot.

    PYTHONPATH=tests python -m rehearsal .cache/rehearsal

Data sets have the files and columns of those on the Hugging Face Hub, models their architecture and their kinds of
tokenizer. All texts are ours, and the numbers that come out mean nothing: what is rehearsed is the way.
"""
