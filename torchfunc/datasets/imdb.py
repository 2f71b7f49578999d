"""IMDB: 50,000 reviews of films, good and bad, as numbers of words."""

from torchfunc.datasets.published import texts

load_data = texts.load_imdb
get_word_index = texts.imdb_word_index
