//! A Kubernetes to try things on: stays until it is interrupted, and says how it is asked.

#![expect(clippy::print_stdout, reason = "it is for a person at a terminal")]

use std::process::ExitCode;
use std::thread;

use kubernetes_tests::ControlPlane;

fn main() -> ExitCode {
    let Some(plane) = ControlPlane::start() else {
        return ExitCode::FAILURE;
    };
    println!("export KUBECONFIG={}", plane.kubeconfig().display());
    loop {
        // Until the interrupt: the guards see to the rest.
        thread::park();
    }
}
