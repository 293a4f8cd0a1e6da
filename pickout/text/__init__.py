"""Captions to tokens: CLIP's byte pairs, BERT's word pieces, small vocabularies learnt from captions. No torch."""
