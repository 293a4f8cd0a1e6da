"""From recordings to crops of the people in them.

    recordings   which files, and what their names and containers tell: camera and time
    frames       a file, a folder of pictures or a live camera as upright pictures with their times
    boxes, detectors    frames in, boxes and scores out, by one of these:
    person_net, onnx_detector, installed_detectors (with graph_model)
    tracks       boxes of one person over time, and the best crops of each
    extraction   all of it for one recording, in pieces that a kill cannot halve
    harvest      all of it for many recordings, several at a time, into a folder with a table

Boxes travel as `supervision.Detections`, which the trackers' library reads. Decoding is PyAV's, tracking `trackers`'.
"""
