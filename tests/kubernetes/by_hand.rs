//! A Kubernetes to try things on: stays until it is interrupted, and says how it is asked.
//!
//! Without an argument it is a whole one with a node, which needs root; `lab.local/skopos:1=target/debug/skopos` puts a program
//! of this machine there as an image, with the libraries that it is linked to. `plane` is a control plane on loopback, and
//! `plane 100 1000` one with a hundred fake nodes and a thousand fake pods.

#![expect(clippy::print_stdout, reason = "it is for a person at a terminal")]

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use kubernetes_tests::{Cluster, ControlPlane, Image, Lab};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let started = match words.split_first() {
        Some((kind, counts)) if kind == "plane" => plane(counts),
        _ if words.iter().all(|word| word.contains('=')) => node(&words),
        _ => {
            println!("either [IMAGE=PROGRAM ...], or plane [NODES [PODS]]");
            return ExitCode::FAILURE;
        }
    };
    if started.is_none() {
        return ExitCode::FAILURE;
    }
    loop {
        // Until the interrupt: the guards see to the rest.
        thread::park();
    }
}

fn node(images: &[String]) -> Option<()> {
    let begun = Instant::now();
    let lab = Lab::start()?;
    println!(
        "A Kubernetes with the node lab-node, after {:.1} s.",
        begun.elapsed().as_secs_f64()
    );
    for (name, program) in images.iter().filter_map(|image| image.split_once('=')) {
        let program = Path::new(program);
        let inside = format!("/{}", program.file_name()?.display());
        match Image::new(name).entrypoint(&[&inside]).program(&inside, program) {
            Ok(image) => lab.load_image(&image),
            Err(error) => {
                println!("{error:#}");
                return None;
            }
        }
        println!("Image {name} runs {inside}.");
    }
    println!("Logs and configuration: {}", lab.folder().display());
    println!("A shell inside: {} bash", lab.enter_line());
    say_how(&lab);
    // Never let go of before the interrupt.
    std::mem::forget(lab);
    Some(())
}

fn plane(counts: &[String]) -> Option<()> {
    let count = |place: usize| counts.get(place).and_then(|count| count.parse().ok());
    let begun = Instant::now();
    let plane = ControlPlane::start()?;
    println!(
        "A control plane at {}, after {:.1} s.",
        plane.url(),
        begun.elapsed().as_secs_f64()
    );
    for (number, what) in ["nodes", "pods"].iter().enumerate() {
        let Some(count) = count(number) else { break };
        let begun = Instant::now();
        if number == 0 {
            plane.fake_nodes(count)?
        } else {
            plane.fake_pods(count)?
        }
        println!(
            "{count} fake {what}, after {:.1} s more.",
            begun.elapsed().as_secs_f64()
        );
    }
    println!("Logs: {}", plane.folder().display());
    say_how(&plane);
    std::mem::forget(plane);
    Some(())
}

fn say_how(cluster: &Cluster) {
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    if let Some(kubectl) = kubernetes_tests::program("kubectl") {
        println!("{} get all --all-namespaces", kubectl.display());
    }
}
