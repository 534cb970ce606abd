//! A headless Chromium, spoken to in the DevTools protocol over pipes.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// A browser that says nothing for so long is taken for hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// The browser to use: `$CHROMIUM`, or one on the path.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}

/// A running browser. It ends with this value.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    messages: u64,
    profile: TempDir,
}

/// A tab of a browser, with the events that it has told so far.
pub(crate) struct Tab<'b> {
    browser: &'b mut Browser,
    session: String,
    events: Vec<Value>,
}

impl Browser {
    pub(crate) fn start(program: &Path) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(profile.path().join("log")).unwrap();
        // The protocol's pipes are the descriptors 3 and 4, which only a shell can give without unsafe code.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"])
            .arg(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-extensions"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0) {
                let Some(message) = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Browser { child, to, from, messages: 0, profile }
    }

    pub(crate) fn tab(&mut self) -> Tab<'_> {
        let mut events = Vec::new();
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }), &mut events);
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", target, &mut events);
        let session = session["sessionId"].as_str().unwrap().to_string();
        let mut tab = Tab { browser: self, session, events: vec![] };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let log = std::fs::read_to_string(self.profile.path().join("log")).unwrap_or_default();
            panic!("the browser is silent: {error}\n{log}")
        })
    }

    /// Calls a method, and keeps the events that come before its result.
    #[track_caller]
    fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
        events: &mut Vec<Value>,
    ) -> Value {
        self.messages += 1;
        let mut message = json!({ "id": self.messages, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let sent = self.to.write_all(format!("{message}\0").as_bytes()).and_then(|()| self.to.flush());
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.messages {
                assert!(answer["error"].is_null() && sent.is_ok(), "{method}: {answer}");
                return answer["result"].take();
            }
            events.push(answer);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tab<'_> {
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters, &mut self.events)
    }

    /// Opens a file and waits until it is loaded. Forgets all earlier events.
    #[track_caller]
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": url(file) }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.browser.receive();
            self.events.push(event);
        }
    }

    /// A window's inner width and the preferred colour scheme.
    pub(crate) fn show(&mut self, width: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        // As on a phone, they take no room.
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true }));
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// The value of an expression.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].take()
    }

    /// A picture of the whole page: PNG, in base 64.
    pub(crate) fn picture(&mut self) -> String {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        self.call("Page.captureScreenshot", parameters)["data"].as_str().unwrap().to_string()
    }

    /// Errors in the console and in scripts since the file was opened.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        // All that was told before this answer has then arrived.
        self.evaluate("0");
        let is_error = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                event["params"]["type"] == "error" || event["params"]["type"] == "assert"
            }
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(is_error).map(|event| event["params"].to_string()).collect()
    }

    /// All that was asked for since the file was opened, but itself.
    pub(crate) fn requests(&self, file: &Path) -> Vec<String> {
        self.events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent")
            .map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_string())
            .filter(|asked| *asked != url(file))
            .collect()
    }
}

fn url(file: &Path) -> String {
    format!("file://{}", file.display())
}
