"""Keys, as a person presses them."""


def key(page, name, code):
    """Press and release a key."""
    text = {"text": "\r"} if name == "Enter" else {}
    page.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **text)
    page.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)
