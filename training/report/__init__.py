"""The HTML page about a run: `journal` reads, `findings` computes, `page` renders; the other files are its parts."""
