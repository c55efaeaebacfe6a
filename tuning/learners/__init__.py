"""Learners: from clicks to weights (`browsing`, `pdgd`) and to behavior values of documents (`coec`)."""
