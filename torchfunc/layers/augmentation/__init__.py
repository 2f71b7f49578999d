"""Images made ready and made different: sizes, geometry, colours, mixtures, and the boxes and masks that go with them."""
