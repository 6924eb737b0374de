#!/bin/sh
# How the job $1 is, in the words that Snakemake asks for. One that is gone has failed.
status=$(kubectl get job "$1" --ignore-not-found --output 'jsonpath={.metadata.name}:{.status.succeeded}:{.status.failed}') ||
  { echo running; exit 0; } # the server does not answer: asked again
case $status in
  "" | *:*:[1-9]*) echo failed ;;
  *:1:*) echo success ;;
  *) echo running ;;
esac
