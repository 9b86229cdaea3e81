//! `peerway demo`.

use crate::demo::report::Report;
use crate::demo::stage::Stage;
use crate::demo::story::{self, Scene};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Args)]
pub struct DemoArgs {
    /// Stop after the story; the exit code says whether every step did what it should
    #[arg(long)]
    once: bool,
    /// Write the steps and their durations to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Envoy's binary; looked for in PATH unless given
    #[arg(long, default_value = "envoy", value_name = "FILE")]
    envoy_binary: PathBuf,
    /// Where to keep data and logs; a new temporary folder unless given
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
}

pub(super) fn run(args: DemoArgs) -> Result<ExitCode> {
    let dir = args
        .work_dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("peerway-demo-{}", std::process::id())));
    let stage = Stage::new(&dir, &std::env::current_exe()?, &args.envoy_binary)?;
    println!("Data and logs: {}", dir.display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(play(&args, &stage));
    stage.stop();
    // The story's thread may still wait for something; everything that it started is stopped.
    runtime.shutdown_background();
    if args.work_dir.is_none() && matches!(code, Ok(ExitCode::SUCCESS)) {
        let _ = std::fs::remove_dir_all(&dir);
    }
    code
}

async fn play(args: &DemoArgs, stage: &Stage) -> Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (thread_stage, json, once) = (stage.clone(), args.json.clone(), args.once);
    let story = tokio::task::spawn_blocking(move || -> Result<(bool, Option<Scene>)> {
        let mut report = Report::default();
        let told = story::tell_all(&thread_stage, &mut report);
        if let Some(file) = &json {
            write(&report, file)?;
        }
        println!("\n{} steps in {:.1} s", report.steps.len(), report.seconds);
        if let Ok(scene) = &told
            && !once
        {
            println!("Peering the clusters again, so that there is something to try.");
            story::introduce_again(scene)?;
        }
        Ok((report.ok && told.is_ok(), told.ok()))
    });
    let (ok, scene) = tokio::select! {
        told = story => told.context("the story's thread panicked")??,
        _ = interrupt.recv() => return Ok(ExitCode::from(130)),
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
    };
    if !ok {
        println!("The story broke off. Logs: {}", stage.dir().display());
    }
    if args.once {
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if let Some(scene) = &scene {
        show(scene);
    }
    println!("Everything is left running; Ctrl-C stops it.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("Stopping.");
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(report: &Report, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn show(scene: &Scene) {
    println!();
    for cluster in [&scene.east, &scene.west] {
        println!(
            "{:<20} API http://{}   metrics http://{}/metrics",
            cluster.name, cluster.http, cluster.http
        );
    }
    for envoy in scene.envoys() {
        println!("{:<20} Envoy admin http://{}", envoy.process.name(), envoy.admin);
    }
    println!(
        "{:<20} curl http://127.0.0.1:{}/hello",
        "web calls api with", scene.web_dials
    );
}
