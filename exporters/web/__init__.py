"""The web page: what the exporter knows, for people who look. Files of our own, and a JSON API that the page uses, too.

``figures`` says what is shown of each container, ``looks`` reads it for all pages that are open at once, ``answers``
writes the rest of the API, ``assets`` are the files, ``routes`` puts them on the server. Nothing is kept here: history
is in the page, so an exporter that nobody looks at does nothing.
"""
