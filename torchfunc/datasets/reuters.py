"""Reuters: 11,228 news of 46 topics, as numbers of words."""

from torchfunc.datasets.published import texts

load_data = texts.load_reuters
get_word_index = texts.reuters_word_index
get_label_names = texts.reuters_label_names
